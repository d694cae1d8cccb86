#include "distributed/mpi_world.h"

#include <memory>
#include <thread>

#include "core/base/error.h"
#include "distributed/host_name.h"
#include "distributed/mpi_session.h"

namespace trireme {
namespace {

constexpr std::chrono::microseconds kNap{200};

}  // namespace

std::string describe_late(const char* phase, int rank, std::chrono::milliseconds timeout) {
  return concat("mpi: rank ", rank, " on ", host_name(), " waited ", timeout.count(),
                " ms for the other ranks in ", phase,
                "; set TRIREME_TIMEOUT_SECONDS if this may take longer");
}

bool completes(MPI_Request& request, std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (true) {
    int done = 0;
    check_mpi(MPI_Test(&request, &done, MPI_STATUS_IGNORE), "MPI_Test");
    if (done) return true;
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(kNap);
  }
}

MPI_Comm copy_of_world(int rank, std::chrono::milliseconds timeout) {
  auto comm = std::make_unique<MPI_Comm>(MPI_COMM_NULL);
  MPI_Request request = MPI_REQUEST_NULL;
  check_mpi(MPI_Comm_idup(MPI_COMM_WORLD, comm.get(), &request), "MPI_Comm_idup");
  if (!completes(request, timeout)) {
    mark_mpi_failed();
    comm.release();  // MPI may still write there
    throw CommError(CommError::Kind::kTimeout, describe_late("MPI_Comm_idup", rank, timeout));
  }
  MPI_Comm_set_errhandler(*comm, MPI_ERRORS_RETURN);
  return *comm;
}

}  // namespace trireme
