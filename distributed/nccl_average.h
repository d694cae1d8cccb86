// Averages over ranks, inside NCCL where its arithmetic is good enough.
//
// NCCL multiplies with 1/N rounded to the data's type and then sums. In f32 and f64 that costs one
// rounding like any other. In bf16 and f16, 1/N is exact only if N is a power of two; otherwise
// every average would be wrong by the same factor, up to 2^-9. There NCCL multiplies with 2^-k, the
// power of two with 2^k >= N > 2^(k-1), which is exact and keeps f16 from overflowing, and the rest
// of the divisor, 2^k/N, is applied by a kernel behind the collective: in f32, rounded once.

#pragma once

#include <cstdint>

#include "core/base/device.h"
#include "core/base/dtype.h"
#include "distributed/nccl_api.h"

namespace trireme {

/// How an average over `world_size` ranks is made.
struct AveragePlan {
  bool inside_nccl = true;  // ncclAvg does all of it
  double before = 1;        // else: NCCL multiplies with this, a power of two, and sums
  double after = 1;         // and this is left to be multiplied with
};
AveragePlan plan_average(DType dtype, int world_size);

/// 1/2^k as NCCL wants it: the bits of a number of that type. Requires bf16 or f16.
uint16_t scalar_bits(DType dtype, double value);

/// data[i] *= factor on the calling thread's current stream of `device`, computed in f32.
using ScaleBuffer = void (*)(Device device, void* data, int64_t count, DType dtype, double factor);
ScaleBuffer scale_buffer();
/// For tests on machines without a GPU, where no kernel runs. Null: the kernel again.
void replace_scale_buffer(ScaleBuffer replacement);

}  // namespace trireme
