#include "launcher/agent/process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <algorithm>

#include "launcher/agent/system_error.h"

namespace trireme {
namespace {

/// What the child reports through a pipe if it does not get as far as the program.
struct Failure {
  const char* step = nullptr;  // a literal, valid in both processes
  int error = 0;
};

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

Pipe make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    throw StartError(kExitOs, concat("pipe: ", error_text(errno)));
  }
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> list;
  for (const std::string& text : texts) list.push_back(const_cast<char*>(text.c_str()));
  list.push_back(nullptr);
  return list;
}

/// Everything that the child needs, made before fork: after it, only system calls are safe.
struct Prepared {
  const char* path;
  char* const* words;
  char* const* environment;
  const cpu_set_t* mask;  // null: inherit
  size_t mask_bytes;
  int in, out, err, report;
  pid_t parent;
};

/// In the child. Returns only if a step failed.
Failure become(const Prepared& to) {
  if (::setsid() < 0) return {"setsid", errno};
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return {"prctl", errno};
  if (::getppid() != to.parent) ::_exit(kExitOs);  // the launcher died before the line above
  if (::dup2(to.in, 0) < 0 || ::dup2(to.out, 1) < 0 || ::dup2(to.err, 2) < 0) {
    return {"dup2", errno};
  }
  // What this process has inherited is not for its ranks. An old kernel refuses; nothing depends on
  // it.
  ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
  if (to.mask && ::sched_setaffinity(0, to.mask_bytes, to.mask) != 0) {
    return {"sched_setaffinity", errno};
  }
  for (int signal = 1; signal < SIGRTMIN; ++signal) ::signal(signal, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::execve(to.path, to.words, to.environment);
  return {nullptr, errno};
}

[[noreturn]] void report(const Failure& failure, const std::string& path) {
  const std::string text = error_text(failure.error);
  if (failure.step) throw StartError(kExitOs, concat(failure.step, ": ", text));
  switch (failure.error) {
    case ENOENT:
      throw StartError(kExitNotFound,
                       concat("cannot start ", path, ": its interpreter or loader does not exist"));
    case ENOEXEC:
      throw StartError(kExitCannotExec,
                       concat("cannot start ", path, ": ", text, "; a script must begin with #!"));
    case EACCES:
      throw StartError(kExitCannotExec, concat("cannot start ", path, ": ", text));
    default:
      throw StartError(kExitOs, concat("cannot start ", path, ": ", text));
  }
}

}  // namespace

Started start(const Command& command) {
  Pipe out = make_pipe();
  Pipe err = make_pipe();
  Pipe failed = make_pipe();
  const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!null.is_open()) throw StartError(kExitOs, concat("/dev/null: ", error_text(errno)));
  const std::vector<char*> words = pointers(command.words);
  const std::vector<char*> environment = pointers(command.environment);
  const int most = command.cores.empty() ? 1 : std::ranges::max(command.cores) + 1;
  std::vector<cpu_set_t> mask(1 + CPU_ALLOC_SIZE(most) / sizeof(cpu_set_t));
  const size_t mask_bytes = mask.size() * sizeof(cpu_set_t);
  for (const int core : command.cores) CPU_SET_S(core, mask_bytes, mask.data());

  const Prepared prepared = {command.path.c_str(), words.data(),
                             environment.data(),   command.cores.empty() ? nullptr : mask.data(),
                             mask_bytes,           null.get(),
                             out.write.get(),      err.write.get(),
                             failed.write.get(),   ::getpid()};
  const pid_t pid = ::fork();
  if (pid < 0) {
    throw StartError(kExitOs, concat("fork: ", error_text(errno), "; see `ulimit -u`"));
  }
  if (pid == 0) {
    const Failure failure = become(prepared);
    [[maybe_unused]] const auto written = ::write(prepared.report, &failure, sizeof failure);
    ::_exit(kExitOs);
  }
  failed.write.reset();
  Failure failure;
  // Ends at the child's exec, which closes the pipe, or with its report.
  ssize_t length = 0;
  do {
    length = ::read(failed.read.get(), &failure, sizeof failure);
  } while (length < 0 && errno == EINTR);
  if (length == sizeof failure) {
    ::waitpid(pid, nullptr, 0);
    report(failure, command.path);
  }
  ::fcntl(out.read.get(), F_SETFL, O_NONBLOCK);
  ::fcntl(err.read.get(), F_SETFL, O_NONBLOCK);
  return {pid, std::move(out.read), std::move(err.read)};
}

}  // namespace trireme
