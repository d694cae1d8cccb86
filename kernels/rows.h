// parallel_for over the rows of a matrix.

#pragma once

#include <algorithm>

#include "core/base/parallel_for.h"

namespace trireme::kernels {

/// Elements that one thread handles in about the time it takes to wake another.
inline constexpr int64_t kSerialElements = 1 << 14;

/// Calls fn(r) for every row, in parallel where the matrix is large enough.
template <typename Fn>
void each_row(int64_t rows, int64_t cols, const Fn& fn) {
  parallel_for(rows, std::max<int64_t>(1, kSerialElements / std::max<int64_t>(1, cols)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t r = begin; r < end; ++r) fn(r);
               });
}

}  // namespace trireme::kernels
