#include "distributed/mpi_session.h"

#include <mpi.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "core/base/error.h"
#include "core/base/exit_code.h"
#include "core/base/log.h"
#include "distributed/host_name.h"
#include "distributed/mpi_world.h"

namespace trireme {
namespace {

// Ranks leave at different times, because one of them may still be writing files.
constexpr std::chrono::seconds kLongestExit{60};

std::atomic<bool> failed{false};
MPI_Comm exit_comm = MPI_COMM_NULL;

[[noreturn]] void fail_mpi(const std::string& text) {
  throw CommError(CommError::Kind::kSystem, concat("mpi on ", host_name(), ": ", text));
}

/// Ends the process if it is not destroyed in time: for calls that wait for other ranks, have no
/// deadline and cannot be left.
class LastResort {
 public:
  LastResort(const char* phase, int rank, std::chrono::milliseconds timeout)
      : thread_([=, this] {
          std::unique_lock lock(mutex_);
          if (over_.wait_for(lock, timeout, [this] { return is_over_; })) return;
          log_error(describe_late(phase, rank, timeout), "; this process ends");
          _exit(kExitUnavailable);
        }) {}
  ~LastResort() {
    {
      std::lock_guard lock(mutex_);
      is_over_ = true;
    }
    over_.notify_one();
    thread_.join();
  }

 private:
  std::mutex mutex_;
  std::condition_variable over_;
  bool is_over_ = false;  // guarded by mutex_
  std::thread thread_;    // last: it uses the others
};

/// Ends MPI only when all ranks are about to: MPI_Finalize itself has no deadline.
void finalize_at_exit() {
  int finalized = 0;
  if (failed || MPI_Finalized(&finalized) != MPI_SUCCESS || finalized) return;
  MPI_Request request = MPI_REQUEST_NULL;
  try {
    check_mpi(MPI_Ibarrier(exit_comm, &request), "MPI_Ibarrier");
    if (completes(request, kLongestExit)) {
      MPI_Finalize();
    } else {
      log_warning("mpi: other ranks did not end within ", kLongestExit.count(),
                  " s, leaving without them");
    }
  } catch (const CommError& error) {
    log_warning(error.what(), "; leaving without MPI_Finalize");
  }
}

void initialise(int rank, std::chrono::milliseconds timeout) {
  int initialised = 0, finalized = 0, provided = MPI_THREAD_SINGLE;
  MPI_Initialized(&initialised);
  MPI_Finalized(&finalized);
  if (finalized) fail_mpi("MPI has already ended in this process");
  if (initialised) {
    MPI_Query_thread(&provided);
  } else {
    const LastResort deadline("MPI_Init_thread", rank, timeout);
    check_mpi(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &provided), "MPI_Init_thread");
  }
  if (provided != MPI_THREAD_MULTIPLE) {
    fail_mpi(
        "needs MPI_THREAD_MULTIPLE; initialise MPI with MPI_Init_thread or leave it to Trireme");
  }
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  if (!initialised) {
    exit_comm = copy_of_world(rank, timeout);
    std::atexit(finalize_at_exit);
  }
}

}  // namespace

void start_mpi(int rank, std::chrono::milliseconds timeout) {
  static std::once_flag once;
  std::call_once(once, initialise, rank, timeout);
}

int mpi_rank() {
  int rank = 0;
  check_mpi(MPI_Comm_rank(MPI_COMM_WORLD, &rank), "MPI_Comm_rank");
  return rank;
}

int mpi_world_size() {
  int size = 0;
  check_mpi(MPI_Comm_size(MPI_COMM_WORLD, &size), "MPI_Comm_size");
  return size;
}

void check_mpi(int code, const char* what) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = "unknown error";
  int length = 0;
  MPI_Error_string(code, text, &length);
  fail_mpi(concat(what, " failed, ", text));
}

void mark_mpi_failed() noexcept { failed = true; }

}  // namespace trireme
