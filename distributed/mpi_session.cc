#include "distributed/mpi_session.h"

#include <mpi.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "core/base/error.h"
#include "core/base/log.h"
#include "distributed/host_name.h"

namespace trireme {
namespace {

using Clock = std::chrono::steady_clock;

// Ranks leave at different times, because one of them may still be writing files.
constexpr std::chrono::seconds kLongestExit{60};

std::atomic<bool> failed{false};
MPI_Comm exit_comm = MPI_COMM_NULL;

[[noreturn]] void fail_mpi(const std::string& text) {
  throw CommError(CommError::Kind::kSystem, concat("mpi on ", host_name(), ": ", text));
}

/// Ends MPI only when all ranks are about to: MPI_Finalize itself has no deadline.
void finalize_at_exit() {
  int finalized = 0;
  if (failed || MPI_Finalized(&finalized) != MPI_SUCCESS || finalized) return;
  MPI_Request request = MPI_REQUEST_NULL;
  if (MPI_Ibarrier(exit_comm, &request) != MPI_SUCCESS) return;
  const auto deadline = Clock::now() + kLongestExit;
  int done = 0;
  while (MPI_Test(&request, &done, MPI_STATUS_IGNORE) == MPI_SUCCESS && !done) {
    if (Clock::now() > deadline) {
      log_warning("mpi: other ranks did not end within ", kLongestExit.count(),
                  " s, leaving without them");
      return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  if (done) MPI_Finalize();
}

void initialise() {
  int initialised = 0, finalized = 0, provided = MPI_THREAD_SINGLE;
  MPI_Initialized(&initialised);
  MPI_Finalized(&finalized);
  if (finalized) fail_mpi("MPI has already ended in this process");
  if (initialised) {
    MPI_Query_thread(&provided);
  } else {
    check_mpi(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &provided), "MPI_Init_thread");
  }
  if (provided != MPI_THREAD_MULTIPLE) {
    fail_mpi(
        "needs MPI_THREAD_MULTIPLE; initialise MPI with MPI_Init_thread or leave it to Trireme");
  }
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  if (!initialised) {
    check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &exit_comm), "MPI_Comm_dup");
    std::atexit(finalize_at_exit);
  }
}

}  // namespace

void start_mpi() {
  static std::once_flag once;
  std::call_once(once, initialise);
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
