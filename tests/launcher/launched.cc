#include "tests/launcher/launched.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <array>

namespace trireme::testing {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int kPumpMs = 50;

/// Appends what can be read; closes `fd` at its end.
void read_into(UniqueFd& fd, std::string& text) {
  std::array<char, 1 << 16> buffer;
  const ssize_t length = ::read(fd.get(), buffer.data(), buffer.size());
  if (length > 0) {
    text.append(buffer.data(), static_cast<size_t>(length));
  } else {
    fd.reset();
  }
}

}  // namespace

Launched::Launched(const std::string& folder, const std::vector<std::string>& words,
                   const std::vector<std::string>& environment)
    : Launched(folder, TRIREME_PROGRAM, words, environment) {}

Launched::Launched(const std::string& folder, const std::string& program,
                   const std::vector<std::string>& words,
                   const std::vector<std::string>& environment) {
  int out[2];
  int err[2];
  if (::pipe2(out, O_CLOEXEC) != 0 || ::pipe2(err, O_CLOEXEC) != 0) throw IoError("pipe2");
  std::vector<char*> arguments = {const_cast<char*>(program.c_str())};
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  pid_ = ::fork();
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (const std::string& entry : environment) ::putenv(const_cast<char*>(entry.c_str()));
    ::dup2(out[1], 1);
    ::dup2(err[1], 2);
    if (::chdir(folder.c_str()) == 0) ::execvp(program.c_str(), arguments.data());
    ::_exit(99);
  }
  ::close(out[1]);
  ::close(err[1]);
  out_fd_ = UniqueFd(out[0]);
  err_fd_ = UniqueFd(err[0]);
}

Launched::~Launched() {
  if (pid_ == 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void Launched::send(int signal) const { ::kill(pid_, signal); }

bool Launched::pump() {
  if (!out_fd_.is_open() && !err_fd_.is_open()) return false;
  pollfd polled[] = {{out_fd_.get(), POLLIN, 0}, {err_fd_.get(), POLLIN, 0}};
  ::poll(polled, 2, kPumpMs);
  if (polled[0].revents) read_into(out_fd_, out_);
  if (polled[1].revents) read_into(err_fd_, err_);
  return true;
}

bool Launched::wait_for(const std::string& text) {
  const auto until = Clock::now() + kPatience;
  const auto is_there = [&] {
    return out_.find(text) != std::string::npos || err_.find(text) != std::string::npos;
  };
  while (!is_there()) {
    if (Clock::now() > until || !pump()) return false;
  }
  return true;
}

int Launched::wait(std::chrono::milliseconds limit) {
  const auto until = Clock::now() + limit;
  int status = 0;
  for (;;) {
    const bool is_open = pump();
    if (!is_open && ::waitpid(pid_, &status, WNOHANG) == pid_) break;
    if (Clock::now() > until) return -1;
  }
  pid_ = 0;
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

RunTest::RunTest() {
  const std::string path = dir_ / "report";
  if (::mkfifo(path.c_str(), 0600) != 0) throw IoError("mkfifo " + path);
  // Open for writing too, so that it does not end when the first rank closes it.
  reports_ = UniqueFd(::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
}

std::vector<std::string> RunTest::words(std::vector<std::string> flags, const std::string& script) {
  flags.insert(flags.begin(), {"run", "--metrics-port", "off"});
  flags.insert(flags.end(), {"--", "sh", "-c", script});
  return flags;
}

std::string RunTest::log(int rank, const std::string& stream) const {
  return read_text(dir_ /
                   ("runs/latest/logs/rank-000" + std::to_string(rank) + "/" + stream + ".log"));
}

std::string RunTest::next_report() {
  const auto until = Clock::now() + kPatience;
  for (;;) {
    const size_t end = pending_.find('\n');
    if (end != std::string::npos) {
      const std::string line = pending_.substr(0, end);
      pending_.erase(0, end + 1);
      return line;
    }
    if (Clock::now() > until) return "";
    pollfd polled = {reports_.get(), POLLIN, 0};
    if (::poll(&polled, 1, kPumpMs) > 0) read_into(reports_, pending_);
  }
}

std::string unique_run_id(const std::string& name) {
  return name + "-" + std::to_string(::getpid());
}

bool wait_until_gone(pid_t pid) {
  const auto until = Clock::now() + kPatience;
  while (::kill(pid, 0) == 0) {
    ::waitpid(pid, nullptr, WNOHANG);  // in case it has become the test's child
    if (Clock::now() > until) return false;
    ::poll(nullptr, 0, 1);
  }
  return true;
}

}  // namespace trireme::testing
