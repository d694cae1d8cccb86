// A communicator of our own, made without waiting for ever.

#pragma once

#include <mpi.h>

#include <chrono>
#include <string>

namespace trireme {

/// "mpi: rank 1 on a waited 2000 ms for the other ranks in MPI_Comm_idup; ..."
std::string describe_late(const char* phase, int rank, std::chrono::milliseconds timeout);

/// Polls until `request` is complete; false if it is not after `timeout`. Throws
/// CommError(kSystem).
bool completes(MPI_Request& request, std::chrono::milliseconds timeout);

/// Collective: a copy of MPI_COMM_WORLD whose errors are returned. Throws CommError(kTimeout) if
/// ranks are missing after `timeout`; MPI then does not end with the process, see mpi_session.h.
MPI_Comm copy_of_world(int rank, std::chrono::milliseconds timeout);

}  // namespace trireme
