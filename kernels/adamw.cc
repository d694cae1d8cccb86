#include "kernels/adamw.h"

#include <cmath>

#include "kernels/rows.h"

namespace trireme::kernels {
namespace {

template <typename T>
void any_adamw(const AdamStep& s, int64_t count, const T* __restrict grad, T* __restrict param,
               T* __restrict m, T* __restrict v) {
  const bool decoupled = s.decay_form == WeightDecay::kDecoupled;
  const T beta1 = static_cast<T>(s.beta1), beta2 = static_cast<T>(s.beta2);
  const T rest1 = static_cast<T>(1 - s.beta1), rest2 = static_cast<T>(1 - s.beta2);
  const auto number = static_cast<double>(s.step);
  const T rate = static_cast<T>(s.learning_rate / (1 - std::pow(s.beta1, number)));
  const T root = static_cast<T>(1 / std::sqrt(1 - std::pow(s.beta2, number)));
  const T scale = static_cast<T>(s.grad_scale), eps = static_cast<T>(s.eps);
  const T l2 = static_cast<T>(decoupled ? 0 : s.weight_decay);
  const T keep = static_cast<T>(decoupled ? 1 - s.learning_rate * s.weight_decay : 1);
  parallel_for(count, kSerialElements, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const T g = grad[i] * scale + l2 * param[i];
      const T mean = beta1 * m[i] + rest1 * g;
      const T square = beta2 * v[i] + rest2 * g * g;
      m[i] = mean;
      v[i] = square;
      param[i] = keep * param[i] - rate * mean / (std::sqrt(square) * root + eps);
    }
  });
}

}  // namespace

void adamw(Cpu, const AdamStep& step, int64_t count, const float* grad, float* param, float* m,
           float* v) {
  any_adamw(step, count, grad, param, m, v);
}
void adamw(Cpu, const AdamStep& step, int64_t count, const double* grad, double* param, double* m,
           double* v) {
  any_adamw(step, count, grad, param, m, v);
}

}  // namespace trireme::kernels
