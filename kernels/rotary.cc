// A thread takes a time: its cosines and sines serve every sequence and head.

#include "kernels/rotary.h"

#include <algorithm>

#include "kernels/half_rows.h"
#include "kernels/rows.h"

namespace trireme::kernels {
namespace {

template <typename T>
void rotate_head(const T* x, T* y, int64_t half, const Acc<T>* cosines, const Acc<T>* sines) {
  each_vector<T>(half, [&](int64_t d, auto part) {
    const Vec<T> a = part.load(x + d), b = part.load(x + half + d);
    const Vec<T> c = part.load(cosines + d), s = part.load(sines + d);
    part.store(y + d, a * c - b * s);
    part.store(y + half + d, b * c + a * s);
  });
}

}  // namespace

template <typename T>
void rotary(Cpu, const RotarySpec& spec, const T* x, T* y) {
  using A = Acc<T>;
  const int64_t half = spec.head_dim / 2, row = spec.heads * spec.head_dim;
  double* frequencies = scratch<double>(Scratch::kPartials, half);
  const double exponent = rotary_exponent(spec);
  for (int64_t d = 0; d < half; ++d) frequencies[d] = rotary_frequency(exponent, d);
  each_row(spec.time, spec.batch * row, [&](int64_t t) {
    A* cosines = scratch<A>(Scratch::kBlock, 2 * half);
    A* sines = cosines + half;
    for (int64_t d = 0; d < half; ++d) {
      const Rotation<A> turn =
          rotation<A>(static_cast<double>(spec.first + t), frequencies[d], spec.inverse);
      cosines[d] = turn.cos;
      sines[d] = turn.sin;
    }
    for (int64_t b = 0; b < spec.batch; ++b) {
      const int64_t begin = (b * spec.time + t) * row;
      const int64_t copied = begin + spec.rotated * spec.head_dim;
      for (int64_t at = begin; at < copied; at += spec.head_dim) {
        rotate_head(x + at, y + at, half, cosines, sines);
      }
      if (x != y) std::copy(x + copied, x + begin + row, y + copied);
    }
  });
}

template void rotary(Cpu, const RotarySpec&, const float*, float*);
template void rotary(Cpu, const RotarySpec&, const double*, double*);
template void rotary(Cpu, const RotarySpec&, const BFloat16*, BFloat16*);
template void rotary(Cpu, const RotarySpec&, const Float16*, Float16*);

}  // namespace trireme::kernels
