#include "kernels/adamw.h"

#include <cmath>

#include "kernels/rows.h"

namespace trireme::kernels {
namespace {

/// One span; `Master` is what is stepped: the 32-bit copy of 16-bit parameters, else themselves.
template <typename T, typename Master>
void step_span(const AdamStep& s, double grad_factor, int64_t count, const T* __restrict grad,
               T* __restrict param, Master* master, Acc<T>* __restrict m, Acc<T>* __restrict v) {
  using A = Acc<T>;
  const bool decoupled = s.decay_form == WeightDecay::kDecoupled;
  const A beta1 = static_cast<A>(s.beta1), beta2 = static_cast<A>(s.beta2);
  const A rest1 = static_cast<A>(1 - s.beta1), rest2 = static_cast<A>(1 - s.beta2);
  const double number = s.number_now(), lr = s.rate_now();
  const A rate = static_cast<A>(lr / (1 - std::pow(s.beta1, number)));
  const A root = static_cast<A>(1 / std::sqrt(1 - std::pow(s.beta2, number)));
  const A scale = static_cast<A>(grad_factor), eps = static_cast<A>(s.eps);
  const A l2 = static_cast<A>(decoupled ? 0 : s.weight_decay);
  const A keep = static_cast<A>(decoupled ? 1 - lr * s.weight_decay : 1);
  parallel_for(count, kSerialElements, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const A p{master[i]};
      const A g = A{grad[i]} * scale + l2 * p;
      const A mean = beta1 * m[i] + rest1 * g;
      const A square = beta2 * v[i] + rest2 * g * g;
      m[i] = mean;
      v[i] = square;
      const A stepped = keep * p - rate * mean / (std::sqrt(square) * root + eps);
      master[i] = Master(stepped);
      if constexpr (!std::is_same_v<T, Master>) param[i] = T(stepped);
    }
  });
}

}  // namespace

template <typename T>
void adamw(Cpu, const AdamStep& step, std::span<const AdamSpan<T>> spans) {
  const double factor = step.grad_factor ? *step.grad_factor : 1;
  if (factor == 0) return;
  for (const AdamSpan<T>& s : spans) {
    if (s.master) {
      step_span(step, factor, s.count, s.grad, s.param, s.master, s.m, s.v);
    } else {
      step_span(step, factor, s.count, s.grad, s.param, s.param, s.m, s.v);
    }
  }
}

template void adamw(Cpu, const AdamStep&, std::span<const AdamSpan<float>>);
template void adamw(Cpu, const AdamStep&, std::span<const AdamSpan<double>>);
template void adamw(Cpu, const AdamStep&, std::span<const AdamSpan<BFloat16>>);
template void adamw(Cpu, const AdamStep&, std::span<const AdamSpan<Float16>>);

}  // namespace trireme::kernels
