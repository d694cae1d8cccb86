// The `mpi` backend: CPU ranks on any number of nodes, data moved by MPI.
//
// Open MPI makes progress only while someone calls it, so the communicator's thread polls; it backs
// off while it waits, to leave the core to computation. Before each collective the ranks exchange
// what they are about to call, so a mismatch is an error and not a hang, and a deadline that passes
// names those who have not called. A rank that dies is noticed by mpirun, which ends the others.
// Buffers are private memory. That all ranks get the same bits relies on Open MPI's non-blocking
// algorithms, which reduce each element in one place or in one tree.

#pragma once

#include <memory>

#include "distributed/communicator.h"

namespace trireme {

/// Collective over all ranks of the MPI job. Requires that rank and world_size are those of MPI.
std::unique_ptr<Communicator> make_mpi_communicator(int rank, int world_size,
                                                    const CommOptions& options);

}  // namespace trireme
