// Rotary position embedding.
//
// A thread takes neighbouring pairs (16 bytes from each half of a head where memory is aligned,
// else one pair) of up to eight heads of one position: their cosines and sines are made once for
// all of them. x is read once and y written once; a table of cosines would be read as often as half
// of x.

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/pack.h"
#include "kernels/cuda/row_geometry.h"
#include "kernels/rotary.h"

namespace trireme::kernels {
namespace {

constexpr int64_t kHeads = 8;  // of a thread: what the angles cost is spread over them

template <typename T>
struct RotaryBody {
  RotarySpec spec;
  double exponent;
  int64_t groups;  // of kHeads heads
  const T* x;
  T* y;

  /// The W pairs from i on of [batch, time, groups, head_dim / 2].
  template <int W>
  TRIREME_HD void run(int64_t i) const {
    using A = Acc<T>;
    const int64_t half = spec.head_dim / 2, d = i % half, group = i / half % groups;
    const int64_t row = i / half / groups;
    const int64_t begin = group * kHeads;
    const int64_t end = begin + kHeads < spec.heads ? begin + kHeads : spec.heads;
    const auto position = static_cast<double>(spec.first + row % spec.time);
    Rotation<A> turn[W];
    TRIREME_UNROLL
    for (int k = 0; k < W; ++k) {
      turn[k] = rotation<A>(position, rotary_frequency(exponent, d + k), spec.inverse);
    }
    for (int64_t h = begin; h < end; ++h) {
      const int64_t at = (row * spec.heads + h) * spec.head_dim + d;
      A a[W], b[W];
      load_values<W>(x + at, a);
      load_values<W>(x + at + half, b);
      if (h < spec.rotated) {
        TRIREME_UNROLL
        for (int k = 0; k < W; ++k) {
          const A left = a[k];
          a[k] = left * turn[k].cos - b[k] * turn[k].sin;
          b[k] = b[k] * turn[k].cos + left * turn[k].sin;
        }
      }
      store_values<W>(y + at, a);
      store_values<W>(y + at + half, b);
    }
  }
};

}  // namespace

template <typename T>
void rotary(Cuda device, const RotarySpec& spec, const T* x, T* y) {
  const int64_t half = spec.head_dim / 2, groups = (spec.heads + kHeads - 1) / kHeads;
  const int64_t pairs = spec.batch * spec.time * groups * half;
  const RotaryBody<T> body{spec, rotary_exponent(spec), groups, x, y};
  constexpr int kW = kRowPack<T>;
  if constexpr (kW > 1) {
    if (half % kW == 0 && are_packed<kW>(x, y)) {
      return launch_packs<kW>("rotary_embedding", device, pairs, body);
    }
  }
  launch_packs<1>("rotary_embedding", device, pairs, body);
}

template void rotary(Cuda, const RotarySpec&, const double*, double*);
template void rotary(Cuda, const RotarySpec&, const float*, float*);
template void rotary(Cuda, const RotarySpec&, const BFloat16*, BFloat16*);
template void rotary(Cuda, const RotarySpec&, const Float16*, Float16*);

}  // namespace trireme::kernels
