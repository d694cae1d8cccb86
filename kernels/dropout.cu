// Dropout.
//
// A thread takes 16 bytes a step: one Philox block for 4 f32, two for 8 elements of 16 bits. x is
// read once and y written once. The generator's 20 wide multiplications per block stay below the
// memory time in f32 and about equal it in 16-bit types: expected 70 % of 4.3 TB/s on an H200.

#include "kernels/dropout.h"

#include <cmath>

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/random_body.h"
#include "kernels/cuda/row_geometry.h"

namespace trireme::kernels {
namespace {

template <typename T>
struct DropoutBody {
  const T* x;
  T* y;
  Acc<T> scale;
  uint32_t limit;
  uint64_t seed, first;
  template <int N>
  TRIREME_HD void run(int64_t i) const {
    dropout_pack<N>(x, y, i, scale, limit, seed, first);
  }
};

}  // namespace

template <typename T>
void dropout(Cuda device, const T* x, T* y, int64_t count, double p, uint64_t seed,
             uint64_t first) {
  const auto scale = static_cast<Acc<T>>(1 / (1 - p));
  // u < p with u = k / 2^24 is k < ceil(p 2^24).
  const auto limit = static_cast<uint32_t>(std::ceil(p * 0x1p24));
  const DropoutBody<T> body{x, y, scale, limit, seed, first};
  if constexpr (kRowPack < T >> 1) {
    if (are_packed<kRowPack<T>>(x, y)) {
      return launch_packs<kRowPack<T>>("dropout", device, count, body);
    }
  }
  launch_packs<1>("dropout", device, count, body);
}

template void dropout(Cuda, const double*, double*, int64_t, double, uint64_t, uint64_t);
template void dropout(Cuda, const float*, float*, int64_t, double, uint64_t, uint64_t);
template void dropout(Cuda, const BFloat16*, BFloat16*, int64_t, double, uint64_t, uint64_t);
template void dropout(Cuda, const Float16*, Float16*, int64_t, double, uint64_t, uint64_t);

}  // namespace trireme::kernels
