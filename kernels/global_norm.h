// The sum of squares behind the global gradient norm.

#pragma once

#include <cstdint>
#include <span>

#include "core/base/device_tag.h"

namespace trireme::kernels {

/// *sum += sum_i x[i]^2, accumulated in f64 in an order that does not depend on the threads.
/// Squares of f32 cannot overflow f64, so *sum is finite exactly when all elements are: the check
/// for non-finite gradients is free. (f64 elements beyond 1e154 count as non-finite.)
template <typename T>
void add_sum_of_squares(Cpu, const T* x, int64_t count, double* sum);
/// On CUDA `sum` lies in the device's memory, so that nobody waits for it.
template <typename T>
void add_sum_of_squares(Cuda, const T* x, int64_t count, double* sum);

/// One of several arrays.
template <typename T>
struct NormSpan {
  int64_t count;
  const T* x;
};

/// The same over several arrays; on CUDA two kernels for all of them.
template <typename T>
void add_sum_of_squares(Cpu device, std::span<const NormSpan<T>> spans, double* sum) {
  for (const NormSpan<T>& s : spans) add_sum_of_squares(device, s.x, s.count, sum);
}
template <typename T>
void add_sum_of_squares(Cuda, std::span<const NormSpan<T>> spans, double* sum);

/// From the sum of squares of gradients that are `loss_scale` times too large:
///   *norm = sqrt(*sum) / loss_scale
///   *factor = what they must be multiplied by to lose that scale and have at most norm `max_norm`
///             (<= 0: any), or `otherwise` where the norm is not finite
/// On CUDA all three lie in the device's memory. `norm` may be `sum`.
void norm_to_factor(Cpu, const double* sum, double loss_scale, double max_norm, double* norm,
                    double* factor, double otherwise = 0);
void norm_to_factor(Cuda, const double* sum, double loss_scale, double max_norm, double* norm,
                    double* factor, double otherwise = 0);

}  // namespace trireme::kernels
