// MPI's one initialisation and end in a process.
//
// If the program has not initialised MPI itself, the first call here does, with
// MPI_THREAD_MULTIPLE, and MPI ends when the process exits normally. After a failure it is not
// ended, because that could wait for a rank that is gone.

#pragma once

#include <chrono>

namespace trireme {

/// Collective. Throws CommError: kSystem if MPI cannot be used from several threads or has already
/// ended, kTimeout if ranks are missing after `timeout`. MPI_Init itself cannot be left: if ranks
/// do not reach it in time, the process says so as `rank` and ends with kExitUnavailable.
void start_mpi(int rank, std::chrono::milliseconds timeout);
int mpi_rank();
int mpi_world_size();
/// "MPI_Iallreduce failed, ..." as a CommError(kSystem), unless `code` is success.
void check_mpi(int code, const char* what);
/// From now on the exit of this process does not wait for other ranks.
void mark_mpi_failed() noexcept;

}  // namespace trireme
