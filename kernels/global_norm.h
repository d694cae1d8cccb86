// The sum of squares behind the global gradient norm.

#pragma once

#include <cstdint>

#include "core/base/device_tag.h"

namespace trireme::kernels {

/// *sum += sum_i x[i]^2, accumulated in f64 in an order that does not depend on the threads.
/// Squares of f32 cannot overflow f64, so *sum is finite exactly when all elements are: the check
/// for non-finite gradients is free. (f64 elements beyond 1e154 count as non-finite.)
template <typename T>
void add_sum_of_squares(Cpu, const T* x, int64_t count, double* sum);
template <typename T>
void add_sum_of_squares(Cuda, const T* x, int64_t count, double* sum);

}  // namespace trireme::kernels
