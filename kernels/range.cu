// Evenly spaced numbers: one a thread and step, x written once: 1 to 8 bytes a number.

#include "kernels/range.h"

#include "kernels/cuda/convert.h"
#include "kernels/cuda/launch.cuh"

namespace trireme::kernels {
namespace {

struct RangeBody {
  Range range;
  DType dtype;
  void* x;
  template <int>
  TRIREME_HD void run(int64_t i) const {
    store_as(dtype, x, i, range.at(i));
  }
};

}  // namespace

void fill_range(Cuda device, DType dtype, const Range& range, void* x) {
  launch_packs<1>("arange", device, range.count, RangeBody{range, dtype, x});
}

}  // namespace trireme::kernels
