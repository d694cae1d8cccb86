// Random fills: a thread makes one Philox block and writes one element of it per step. Bound by the
// generator's arithmetic (about 80 instructions per element), not by memory; it fills parameters
// once. An element is written once: 2 to 8 bytes.

#include "kernels/random.h"

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/random_body.h"

namespace trireme::kernels {
namespace {

template <typename T, bool kNormal>
struct DrawBody {
  T* out;
  uint64_t seed, first;
  template <int>
  TRIREME_HD void run(int64_t i) const {
    const PhiloxBlock r = philox(seed, first + static_cast<uint64_t>(i));
    out[i] = kNormal ? normal_of<T>(r) : uniform_of<T>(r);
  }
};

}  // namespace

template <typename T>
void fill_uniform(Cuda device, T* out, int64_t count, uint64_t seed, uint64_t first) {
  launch_packs<1>("fill_uniform", device, count, DrawBody<T, false>{out, seed, first});
}

template <typename T>
void fill_normal(Cuda device, T* out, int64_t count, uint64_t seed, uint64_t first) {
  launch_packs<1>("fill_normal", device, count, DrawBody<T, true>{out, seed, first});
}

#define TRIREME_INSTANTIATE(T)                                       \
  template void fill_uniform(Cuda, T*, int64_t, uint64_t, uint64_t); \
  template void fill_normal(Cuda, T*, int64_t, uint64_t, uint64_t)
TRIREME_INSTANTIATE(double);
TRIREME_INSTANTIATE(float);
TRIREME_INSTANTIATE(BFloat16);
TRIREME_INSTANTIATE(Float16);
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels
