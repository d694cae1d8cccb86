// MPI_Allreduce as a bare call, to compare with.

#pragma once

#include <cstdint>

namespace trireme {

/// Sum in place over MPI_COMM_WORLD. Requires an initialised MPI.
void mpi_all_reduce(float* data, int64_t count);

}  // namespace trireme
