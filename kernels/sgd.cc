#include "kernels/sgd.h"

#include "kernels/rows.h"

namespace trireme::kernels {
namespace {

/// One span; `Master` is what is stepped: the 32-bit copy of 16-bit parameters, else themselves.
template <typename T, typename Master>
void step_span(const SgdStep& s, double grad_factor, int64_t count, const T* __restrict grad,
               T* __restrict param, Master* master, Acc<T>* __restrict buffer) {
  using A = Acc<T>;
  const A rate = static_cast<A>(s.rate_now()), decay = static_cast<A>(s.weight_decay);
  const A scale = static_cast<A>(grad_factor), momentum = static_cast<A>(s.momentum);
  // A fresh buffer may hold anything, NaN included: it is not read on the first step.
  const A fresh = static_cast<A>(s.is_first_now() ? 1 : 1 - s.dampening);
  const bool nesterov = s.form == Momentum::kNesterov, first = s.is_first_now();
  const auto write = [=](int64_t i, A value) {
    master[i] = Master(value);
    if constexpr (!std::is_same_v<T, Master>) param[i] = T(value);
  };
  parallel_for(count, kSerialElements, [=](int64_t begin, int64_t end) {
    if (!buffer) {
      for (int64_t i = begin; i < end; ++i) {
        const A p{master[i]};
        write(i, p - rate * (A{grad[i]} * scale + decay * p));
      }
      return;
    }
    for (int64_t i = begin; i < end; ++i) {
      const A p{master[i]};
      const A g = A{grad[i]} * scale + decay * p;
      const A average = (first ? A{0} : momentum * buffer[i]) + fresh * g;
      buffer[i] = average;
      write(i, p - rate * (nesterov ? g + momentum * average : average));
    }
  });
}

}  // namespace

template <typename T>
void sgd(Cpu, const SgdStep& step, std::span<const SgdSpan<T>> spans) {
  const double factor = step.grad_factor ? *step.grad_factor : 1;
  if (factor == 0) return;
  for (const SgdSpan<T>& s : spans) {
    if (s.master) {
      step_span(step, factor, s.count, s.grad, s.param, s.master, s.buffer);
    } else {
      step_span(step, factor, s.count, s.grad, s.param, s.param, s.buffer);
    }
  }
}

template void sgd(Cpu, const SgdStep&, std::span<const SgdSpan<float>>);
template void sgd(Cpu, const SgdStep&, std::span<const SgdSpan<double>>);
template void sgd(Cpu, const SgdStep&, std::span<const SgdSpan<BFloat16>>);
template void sgd(Cpu, const SgdStep&, std::span<const SgdSpan<Float16>>);

}  // namespace trireme::kernels
