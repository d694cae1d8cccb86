#include "tests/support/rank_processes.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "core/base/config.h"
#include "core/base/error.h"

namespace trireme::testing {
namespace {

using Clock = std::chrono::steady_clock;

constexpr char kCallVariable[] = "RANK_TEST_CALL";  // which call of the test a process is made for
constexpr std::chrono::seconds kLongest{120};
// What a rank's process prints before the body. A filter that matches no test ends with 0 as well.
constexpr char kMarker[] = "[ RANK RUNS ]\n";

int env_int(const char* name, int otherwise) {
  const char* text = std::getenv(name);
  return text ? std::atoi(text) : otherwise;
}

std::string current_test() {
  const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
  return concat(info->test_suite_name(), ".", info->name());
}

/// Counts the calls within the running test.
int next_call() {
  static std::string test;
  static int calls = 0;
  if (test != current_test()) {
    test = current_test();
    calls = 0;
  }
  return calls++;
}

struct Child {
  pid_t pid = 0;
  int output = -1;  // read end of its pipe
  RankOutcome outcome;
};

Child start_process(const std::vector<std::string>& arguments,
                    const std::vector<std::pair<std::string, std::string>>& variables) {
  int ends[2];
  if (pipe(ends) != 0) throw IoError("test: pipe failed");
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  Child child;
  child.pid = fork();
  if (child.pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpgid(0, 0);
    dup2(ends[1], STDOUT_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[0]);
    close(ends[1]);
    for (const auto& [name, value] : variables) setenv(name.c_str(), value.c_str(), 1);
    execvp(argv[0], argv.data());
    _exit(127);
  }
  close(ends[1]);
  child.output = ends[0];
  return child;
}

/// Reads what the children print until all have closed their output; false at the deadline.
bool read_all(std::vector<Child>& children) {
  const auto deadline = Clock::now() + kLongest;
  while (true) {
    std::vector<pollfd> open;
    for (const Child& child : children) {
      if (child.output >= 0) open.push_back({child.output, POLLIN, 0});
    }
    if (open.empty()) return true;
    if (Clock::now() > deadline) return false;
    poll(open.data(), open.size(), 1000);
    for (const pollfd& entry : open) {
      if (entry.revents == 0) continue;
      for (Child& child : children) {
        if (child.output != entry.fd) continue;
        char text[4096];
        const ssize_t n = read(entry.fd, text, sizeof(text));
        if (n > 0) {
          child.outcome.output.append(text, static_cast<size_t>(n));
        } else {
          close(child.output);
          child.output = -1;
        }
      }
    }
  }
}

int count_markers(const std::string& output) {
  int count = 0;
  for (size_t at = 0; (at = output.find(kMarker, at)) != std::string::npos; ++at) ++count;
  return count;
}

/// `ranks_each`: how many ranks one child stands for.
std::vector<RankOutcome> wait_for(std::vector<Child> children, int ranks_each) {
  const bool in_time = read_all(children);
  std::vector<RankOutcome> outcomes;
  for (Child& child : children) {
    if (!in_time) kill(-child.pid, SIGKILL);
    int status = 0;
    waitpid(child.pid, &status, 0);
    if (WIFEXITED(status)) child.outcome.exit_code = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) child.outcome.signal = WTERMSIG(status);
    if (!in_time) {
      ADD_FAILURE() << "ranks did not end within " << kLongest.count() << " s:\n"
                    << child.outcome.output;
    }
    const bool ended_well = in_time && child.outcome.exit_code == 0 && child.outcome.signal == 0;
    if (ended_well && count_markers(child.outcome.output) != ranks_each) {
      ADD_FAILURE() << "a rank ended well without having run its part of the test:\n"
                    << child.outcome.output;
    }
    outcomes.push_back(child.outcome);
  }
  return outcomes;
}

RankPlace own_place() {
  if (std::getenv("OMPI_COMM_WORLD_RANK")) {
    return {env_int("OMPI_COMM_WORLD_RANK", 0), env_int("OMPI_COMM_WORLD_SIZE", 1), ""};
  }
  return {env_int("TRIREME_RANK", 0), env_int("TRIREME_WORLD_SIZE", 1),
          std::getenv("TRIREME_RUN_ID")};
}

}  // namespace

bool is_rank_process() { return std::getenv(kCallVariable) != nullptr; }

std::string why_no_mpirun() {
  if (!kHasMpi) return "this build has no MPI";
  std::string_view path = std::getenv("PATH") ? std::getenv("PATH") : "";
  while (!path.empty()) {
    const size_t end = std::min(path.find(':'), path.size());
    if (access((std::string(path.substr(0, end)) + "/mpirun").c_str(), X_OK) == 0) return "";
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return "mpirun is not in PATH";
}

std::vector<RankOutcome> run_rank_processes(StartWith start, int world_size,
                                            const std::function<void(const RankPlace&)>& body) {
  const int call = next_call();
  if (is_rank_process()) {
    if (env_int(kCallVariable, -1) == call) {
      std::fputs(kMarker, stdout);
      std::fflush(stdout);
      body(own_place());
    }
    return {};
  }
  const std::string program = std::filesystem::read_symlink("/proc/self/exe");
  const std::vector<std::string> own = {program, "--gtest_filter=" + current_test(),
                                        "--gtest_catch_exceptions=1"};
  std::vector<Child> children;
  if (start == StartWith::kMpirun) {
    std::vector<std::string> arguments = {
        "mpirun", "--allow-run-as-root",     "--oversubscribe", "--bind-to", "none",
        "-np",    std::to_string(world_size)};
    arguments.insert(arguments.end(), own.begin(), own.end());
    children.push_back(start_process(arguments, {{kCallVariable, std::to_string(call)}}));
  } else {
    const std::string run_id = concat("test-", getpid(), "-", call);
    for (int rank = 0; rank < world_size; ++rank) {
      children.push_back(start_process(own, {{kCallVariable, std::to_string(call)},
                                             {"TRIREME_RANK", std::to_string(rank)},
                                             {"TRIREME_WORLD_SIZE", std::to_string(world_size)},
                                             {"TRIREME_RUN_ID", run_id}}));
    }
  }
  return wait_for(std::move(children), start == StartWith::kMpirun ? world_size : 1);
}

}  // namespace trireme::testing
