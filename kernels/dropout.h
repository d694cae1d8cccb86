// Dropout whose mask is a function of (seed, position), so that it never has to be stored.

#pragma once

#include <cstdint>

#include "core/base/device_tag.h"

namespace trireme::kernels {

/// Philox counters that dropout over `count` elements consumes: four elements share one.
constexpr int64_t dropout_counters(int64_t count) { return (count + 3) / 4; }

/// y[i] = u_i < p ? 0 : x[i] / (1 - p), where u_i is to_uniform of word i % 4 of
/// philox(seed, first + i / 4). The gradient is the same function of dy. y may be x. 0 <= p < 1.
template <typename T>
void dropout(Cpu, const T* x, T* y, int64_t count, double p, uint64_t seed, uint64_t first);
template <typename T>
void dropout(Cuda, const T* x, T* y, int64_t count, double p, uint64_t seed, uint64_t first);

}  // namespace trireme::kernels
