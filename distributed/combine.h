// Reduces the buffers of several ranks: the arithmetic of collectives over shared memory.

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/base/dtype.h"
#include "distributed/communicator.h"

namespace trireme {

/// Writes value[i] = reduction over k of sources[k][i], for i < count, to every destination. The
/// sum runs in the order of `sources`, so the bits do not depend on who calls. An average is that
/// sum divided by the number of sources. 16-bit floats are combined in f32, and the result is
/// rounded once. Integers wrap around; for bool, sum and max mean "or", min means "and". A
/// destination may be one of the sources, but not overlap one otherwise. Reads each source once and
/// writes each destination once; where a destination is a source, its lines are in the cache
/// already, so streaming stores would cost more than they save.
void combine(std::span<const std::byte* const> sources, std::span<std::byte* const> destinations,
             int64_t count, DType dtype, ReduceOp op);

/// Divides `count` elements by `divisor`, rounding once. Requires a floating dtype.
void divide_inplace(void* data, int64_t count, DType dtype, int divisor);

}  // namespace trireme
