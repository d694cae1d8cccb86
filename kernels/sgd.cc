#include "kernels/sgd.h"

#include "kernels/rows.h"

namespace trireme::kernels {
namespace {

template <typename T>
void any_sgd(const SgdStep& s, int64_t count, const T* __restrict grad, T* __restrict param,
             T* __restrict buffer) {
  const T rate = static_cast<T>(s.learning_rate), decay = static_cast<T>(s.weight_decay);
  const T scale = static_cast<T>(s.grad_scale), momentum = static_cast<T>(s.momentum);
  // A fresh buffer may hold anything, NaN included: it is not read on the first step.
  const T fresh = static_cast<T>(s.is_first ? 1 : 1 - s.dampening);
  const bool nesterov = s.form == Momentum::kNesterov, first = s.is_first;
  parallel_for(count, kSerialElements, [=](int64_t begin, int64_t end) {
    if (!buffer) {
      for (int64_t i = begin; i < end; ++i) {
        param[i] -= rate * (grad[i] * scale + decay * param[i]);
      }
      return;
    }
    for (int64_t i = begin; i < end; ++i) {
      const T g = grad[i] * scale + decay * param[i];
      const T average = (first ? T{0} : momentum * buffer[i]) + fresh * g;
      buffer[i] = average;
      param[i] -= rate * (nesterov ? g + momentum * average : average);
    }
  });
}

}  // namespace

void sgd(Cpu, const SgdStep& step, int64_t count, const float* grad, float* param, float* buffer) {
  any_sgd(step, count, grad, param, buffer);
}
void sgd(Cpu, const SgdStep& step, int64_t count, const double* grad, double* param,
         double* buffer) {
  any_sgd(step, count, grad, param, buffer);
}

}  // namespace trireme::kernels
