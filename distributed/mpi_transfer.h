// Point-to-point messages over MPI, in start order between two ranks.

#pragma once

#include <mpi.h>

#include <memory>

#include "distributed/mpi_aborts.h"
#include "distributed/transport.h"

namespace trireme {

/// MPI has the whole message at once; advance() only asks whether it is through. Throws
/// CommError(kMismatch) on the receiver if the lengths differ. `aborts` must outlive the transfer;
/// that a peer is gone is not noticed here, mpirun ends the others.
std::unique_ptr<Transfer> start_mpi_send(MPI_Comm comm, MpiAborts& aborts, const void* data,
                                         int64_t bytes, int to);
std::unique_ptr<Transfer> start_mpi_recv(MPI_Comm comm, MpiAborts& aborts, void* data,
                                         int64_t bytes, int from);

}  // namespace trireme
