#include "core/base/parallel_for.h"

#include "core/base/error.h"

namespace trireme {

void set_num_threads(int count) {
  require(count >= 1, "set_num_threads", "must be at least 1, got ", count);
  omp_set_num_threads(count);
}

int num_threads() { return omp_get_max_threads(); }

}  // namespace trireme
