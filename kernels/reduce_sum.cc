#include "kernels/reduce.h"

#include <algorithm>
#include <vector>

#include "kernels/strided_loop.h"

namespace trireme::kernels {
namespace {

// What sums are kept in. Conversion to f64 costs less than the memory traffic of a large sum.
template <typename T>
using Total = std::conditional_t<std::is_same_v<Acc<T>, float>, double, SumOf<T>>;

// Independent accumulators: eight 512-bit registers, which hides the latency of an addition.
constexpr int kLanes = 64;
// Columns of a block when the kept dimension is the dense one: its totals stay in the first cache.
constexpr int64_t kColumns = 512;

template <typename T>
Total<T> sum_dense(const T* x, int64_t n) {
  Total<T> total = 0;
  int64_t i = 0;
  if (n >= kLanes) {
    Total<T> lanes[kLanes] = {};
    for (; i + kLanes <= n; i += kLanes) {
      for (int k = 0; k < kLanes; ++k) lanes[k] += x[i + k];
    }
    for (int width = kLanes / 2; width > 0; width /= 2) {
      for (int k = 0; k < width; ++k) lanes[k] += lanes[k + width];
    }
    total = lanes[0];
  }
  for (; i < n; ++i) total += x[i];
  return total;
}

template <typename T>
Total<T> sum_run(const T* x, int64_t stride, int64_t n) {
  if (stride == 1) return sum_dense(x, n);
  Total<T> total = 0;
  for (int64_t i = 0; i < n; ++i) total += x[i * stride];
  return total;
}

// x as kept dimensions (operand 0 is y, operand 1 is x) times reduced dimensions.
template <typename T>
struct Plan {
  const T* x;
  StridedLoop<2> kept;
  StridedLoop<1> reduced;
};

// totals[j] = sum over reduced elements [r0, r1) of kept element begin + j, reduced runs innermost.
template <typename T>
void sum_rows(const Plan<T>& plan, int64_t begin, int64_t end, int64_t r0, int64_t r1,
              Total<T>* totals) {
  walk(plan.kept, begin, end, [&](const int64_t(&at)[2], int64_t n) {
    for (int64_t j = 0; j < n; ++j) {
      const T* row = plan.x + at[1] + j * plan.kept.inner_stride(1);
      Total<T> total = 0;
      walk(plan.reduced, r0, r1, [&](const int64_t(&from)[1], int64_t count) {
        total += sum_run(row + from[0], plan.reduced.inner_stride(0), count);
      });
      *totals++ = total;
    }
  });
}

// The same where the kept dimension is the denser one: adds whole rows, column by column.
template <typename T>
void sum_columns(const Plan<T>& plan, int64_t begin, int64_t end, int64_t r0, int64_t r1,
                 Total<T>* totals) {
  const int64_t stride = plan.kept.inner_stride(1);
  walk(plan.kept, begin, end, [&](const int64_t(&at)[2], int64_t n) {
    for (int64_t j = 0; j < n; j += kColumns) {
      const int64_t columns = std::min(kColumns, n - j);
      const T* x = plan.x + at[1] + j * stride;
      std::fill_n(totals, columns, Total<T>{0});
      walk(plan.reduced, r0, r1, [&](const int64_t(&from)[1], int64_t rows) {
        for (int64_t r = 0; r < rows; ++r) {
          const T* row = x + from[0] + r * plan.reduced.inner_stride(0);
          if (stride == 1) {
            for (int64_t c = 0; c < columns; ++c) totals[c] += row[c];
          } else {
            for (int64_t c = 0; c < columns; ++c) totals[c] += row[c * stride];
          }
        }
      });
      totals += columns;
    }
  });
}

// Where there are few results, each is cut into pieces of this many elements, whatever the number
// of threads.
constexpr int64_t kPiece = 1 << 16;
constexpr int64_t kFewResults = 1024;

int64_t pieces_of(int64_t kept, int64_t reduced) {
  if (kept == 0 || kept >= kFewResults || kept * reduced <= 2 * kPiece) return 1;
  const int64_t length = std::max<int64_t>(1, kPiece / kept);
  return (reduced + length - 1) / length;
}

}  // namespace

template <typename T>
void sum(Cpu, StridedView<const T> x, uint32_t reduced, double scale, SumOf<T>* y) {
  Shape kept_shape, reduced_shape;
  Strides kept_strides, reduced_strides;
  for (int d = 0; d < x.shape.rank(); ++d) {
    const bool keep = (reduced >> d & 1) == 0;
    (keep ? kept_shape : reduced_shape).push_back(x.shape[d]);
    (keep ? kept_strides : reduced_strides).push_back(x.strides[d]);
  }
  const Strides y_strides = contiguous_strides(kept_shape);
  const Plan<T> plan{x.data, plan_loop<2>(kept_shape, {&y_strides, &kept_strides}),
                     plan_loop<1>(reduced_shape, {&reduced_strides})};
  const int64_t kept = plan.kept.count, count = plan.reduced.count;
  const bool columns =
      plan.kept.inner_extent() > 1 && plan.kept.inner_stride(1) < plan.reduced.inner_stride(0);
  const auto piece = columns ? sum_columns<T> : sum_rows<T>;
  const auto finish = [scale](Total<T> total) {
    if constexpr (std::is_floating_point_v<Acc<T>>) total *= scale;
    return static_cast<SumOf<T>>(total);
  };

  const int64_t pieces = pieces_of(kept, count);
  if (pieces == 1) {
    const int64_t grain = std::max<int64_t>(1, kPointwiseGrain / std::max<int64_t>(1, count));
    parallel_for(kept, grain, [&](int64_t begin, int64_t end) {
      // y is dense and kept elements are walked in its order, so totals pass through a small
      // buffer.
      Total<T> totals[kColumns];
      for (int64_t at = begin; at < end; at += kColumns) {
        const int64_t n = std::min(kColumns, end - at);
        piece(plan, at, at + n, 0, count, totals);
        std::transform(totals, totals + n, y + at, finish);
      }
    });
    return;
  }
  std::vector<Total<T>> totals(static_cast<size_t>(pieces * kept));
  parallel_for(pieces, 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      piece(plan, 0, kept, count * p / pieces, count * (p + 1) / pieces, &totals[p * kept]);
    }
  });
  for (int64_t p = 1; p < pieces; ++p) {
    for (int64_t j = 0; j < kept; ++j) totals[j] += totals[p * kept + j];
  }
  std::transform(totals.begin(), totals.begin() + kept, y, finish);
}

template void sum(Cpu, StridedView<const double>, uint32_t, double, double*);
template void sum(Cpu, StridedView<const float>, uint32_t, double, float*);
template void sum(Cpu, StridedView<const BFloat16>, uint32_t, double, BFloat16*);
template void sum(Cpu, StridedView<const Float16>, uint32_t, double, Float16*);
template void sum(Cpu, StridedView<const int64_t>, uint32_t, double, int64_t*);
template void sum(Cpu, StridedView<const int32_t>, uint32_t, double, int64_t*);
template void sum(Cpu, StridedView<const uint8_t>, uint32_t, double, int64_t*);
template void sum(Cpu, StridedView<const bool>, uint32_t, double, int64_t*);

}  // namespace trireme::kernels
