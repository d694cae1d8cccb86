// Random fills. Element i is a function of (seed, first + i) alone, so the result does not depend
// on the number of threads or on the device.

#pragma once

#include <cstdint>

#include "core/base/device_tag.h"

namespace trireme::kernels {

/// out[i] uniform in [0, 1): 53 random bits in f64; of word 0 of the Philox block the upper 24 in
/// f32, 11 in f16 and 8 in bf16, so that none rounds to 1.
template <typename T>
void fill_uniform(Cpu, T* out, int64_t count, uint64_t seed, uint64_t first);
template <typename T>
void fill_uniform(Cuda, T* out, int64_t count, uint64_t seed, uint64_t first);

/// out[i] standard normal, by Box and Muller's transform of one Philox block; 16-bit elements are
/// those of f32, rounded.
template <typename T>
void fill_normal(Cpu, T* out, int64_t count, uint64_t seed, uint64_t first);
template <typename T>
void fill_normal(Cuda, T* out, int64_t count, uint64_t seed, uint64_t first);

}  // namespace trireme::kernels
