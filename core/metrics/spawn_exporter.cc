#include "core/metrics/spawn_exporter.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/base/settings.h"

namespace trireme {
namespace {

struct Pipe {
  Pipe() {
    if (::pipe2(ends, O_CLOEXEC) != 0) {
      throw IoError(concat("cannot make a pipe, got ", std::strerror(errno)));
    }
  }
  ~Pipe() {
    for (const int end : ends) {
      if (end >= 0) ::close(end);
    }
  }
  Pipe(const Pipe&) = delete;

  void close(int i) { ::close(release(i)); }
  int release(int i) { return std::exchange(ends[i], -1); }

  int ends[2];
};

std::string program_beside_this() {
  char path[4096];
  const ssize_t length = ::readlink("/proc/self/exe", path, sizeof path);
  const std::string_view self(path, length > 0 ? static_cast<size_t>(length) : 0);
  return concat(self.substr(0, self.rfind('/') + 1), "trireme");
}

/// In: standard input, whose end tells the child that we are gone. Out: its output and errors.
pid_t spawn(std::vector<std::string> words, int in, int out) {
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);

  posix_spawn_file_actions_t files;
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&files, out, STDERR_FILENO);
  // Descriptors of MPI and of the launcher are not all close-on-exec.
  ::posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);

  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  sigset_t none, all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  // Its own session: Ctrl-C is for the training, which then ends the exporter.
  ::posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  pid_t pid = 0;
  const int error = ::posix_spawn(&pid, argv[0], &files, &attributes, argv.data(), environ);
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&files);
  if (error != 0) {
    throw IoError(concat("cannot start ", words[0], ", got ", std::strerror(error)));
  }
  return pid;
}

/// The child's first line, or what it wrote before it closed its output or the time was over.
std::string first_line(int fd, std::chrono::milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  std::string text;
  while (text.find('\n') == text.npos) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    pollfd ready{fd, POLLIN, 0};
    const int count = left.count() > 0 ? ::poll(&ready, 1, static_cast<int>(left.count())) : 0;
    if (count < 0 && errno == EINTR) continue;
    char part[512];
    const ssize_t got = count > 0 ? ::read(fd, part, sizeof part) : 0;
    if (got <= 0) break;
    text.append(part, static_cast<size_t>(got));
  }
  return text.substr(0, text.find('\n'));
}

/// Asks the child to end, and makes it after two seconds.
void end_child(pid_t pid) {
  ::kill(pid, SIGTERM);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  while (::waitpid(pid, nullptr, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > deadline) {
      ::kill(pid, SIGKILL);
      ::waitpid(pid, nullptr, 0);
      return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

}  // namespace

ExporterProcess::ExporterProcess(pid_t pid, int lifeline_fd, std::string url)
    : pid_(pid), lifeline_fd_(lifeline_fd), url_(std::move(url)) {}

ExporterProcess::~ExporterProcess() {
  end_child(pid_);
  ::close(lifeline_fd_);
}

bool wants_exporter_process() { return get_setting("TRIREME_METRICS") == "auto"; }

std::unique_ptr<ExporterProcess> start_exporter_process(const ExporterProcessOptions& options) {
  try {
    const std::string program = options.program.empty() ? program_beside_this() : options.program;
    const std::string address =
        options.address.empty() ? get_setting("TRIREME_METRICS_ADDRESS") : options.address;
    const int64_t port = options.port < 0 ? get_setting_int("TRIREME_METRICS_PORT") : options.port;
    Pipe lifeline, answer;
    const pid_t pid = spawn({program, "exporter", "--run-id", options.run_id, "--address", address,
                             "--port", std::to_string(port), "--stop-at-end-of-input"},
                            lifeline.ends[0], answer.ends[1]);
    answer.close(1);
    const std::string line = first_line(answer.ends[0], options.limit);
    constexpr std::string_view kReady = "metrics at ";
    if (line.starts_with(kReady)) {
      return std::make_unique<ExporterProcess>(pid, lifeline.release(1),
                                               line.substr(kReady.size()));
    }
    end_child(pid);
    throw IoError(line.empty() ? program + " did not start" : line);
  } catch (const std::exception& error) {
    log_warning("training goes on without metrics over HTTP: ", error.what());
    return nullptr;
  }
}

}  // namespace trireme
