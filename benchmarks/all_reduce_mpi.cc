#include "benchmarks/all_reduce_mpi.h"

#include <mpi.h>

#include "distributed/mpi_session.h"

namespace trireme {

void mpi_all_reduce(float* data, int64_t count) {
  check_mpi(MPI_Allreduce(MPI_IN_PLACE, data, static_cast<int>(count), MPI_FLOAT, MPI_SUM,
                          MPI_COMM_WORLD),
            "MPI_Allreduce");
}

}  // namespace trireme
