// Sums over any set of dimensions.
//
// Where terms of one result lie together (rows), a warp up to a block takes a result and its
// threads take terms, 16 bytes each where they are dense and aligned; where results lie together
// (columns), a thread takes a result, so that a warp reads neighbouring elements. Few results of
// many terms are cut into pieces whose sums a second kernel adds in order; all of it depends on
// shape and device only. x is read once: expected 85 % of 4.3 TB/s on an H200 for rows and columns
// of some length.

#include "core/cuda/memory.h"
#include "kernels/cuda/launch_rows.cuh"
#include "kernels/cuda/reduce_body.h"
#include "kernels/reduce.h"

namespace trireme::kernels {
namespace {

/// Writes either the result or, of several pieces, the piece's total.
template <typename T>
struct Output {
  SumOf<T>* y;
  SumTotal<T>* totals;  // [pieces, kept]; null: one piece
  double scale;
  int64_t kept;
  TRIREME_HD void write(int64_t piece, int64_t j, SumTotal<T> total) const {
    if (totals) {
      totals[piece * kept + j] = total;
    } else {
      y[j] = finish_sum<T>(total, scale);
    }
  }
};

/// "Row" r is piece r / kept of result r % kept.
template <typename T, int W>
struct RowsBody {
  const T* x;
  StridedIndex<2> kept;
  StridedIndex<1> reduced;
  Output<T> out;
  int64_t count, piece_length;
  bool dense;
  template <typename Group>
  TRIREME_HD void operator()(const Group& group, int64_t r) const {
    const int64_t piece = r / out.kept, j = r - piece * out.kept;
    const int64_t begin = piece * piece_length;
    const int64_t end = begin + piece_length < count ? begin + piece_length : count;
    const T* from = x + kept.at(j)[1];
    SumTotal<T> part;
    if constexpr (W > 1) {
      part = sum_packs<W>(from, begin, end, group.rank(), group.size());
    } else {
      part = sum_terms(from, reduced, dense, begin, end, group.rank(), group.size());
    }
    const SumTotal<T> total = group_sum(group, part);
    if (group.rank() == 0) out.write(piece, j, total);
  }
};

template <typename T>
struct ColumnsBody {
  const T* x;
  StridedIndex<2> kept;
  StridedIndex<1> reduced;
  Output<T> out;
  int64_t count, piece_length;
  bool dense;
  template <int>
  TRIREME_HD void run(int64_t i) const {
    const int64_t piece = i / out.kept, j = i - piece * out.kept;
    const int64_t begin = piece * piece_length;
    const int64_t end = begin + piece_length < count ? begin + piece_length : count;
    out.write(piece, j, sum_terms(x + kept.at(j)[1], reduced, dense, begin, end, 0, 1));
  }
};

template <typename T>
struct PiecesBody {
  Output<T> out;
  int64_t pieces;
  template <int>
  TRIREME_HD void run(int64_t j) const {
    SumTotal<T> total = out.totals[j];
    for (int64_t p = 1; p < pieces; ++p) total += out.totals[p * out.kept + j];
    out.y[j] = finish_sum<T>(total, out.scale);
  }
};

/// Whether every piece of every row is whole packs at aligned addresses.
template <typename T, int W>
bool rows_move_in_packs(const SumPlan& plan, const T* x) {
  bool packed = is_aligned(x, static_cast<int64_t>(sizeof(T)) * W) && plan.reduced.rank == 1 &&
                plan.reduced.inner_stride(0) == 1 && plan.reduced.count % W == 0 &&
                plan.piece_length % W == 0;
  for (int d = 0; d < plan.kept.rank && plan.kept.count > 1; ++d) {
    packed = packed && plan.kept.stride[1][d] % W == 0;
  }
  return packed;
}

}  // namespace

template <typename T>
void sum(Cuda device, StridedView<const T> x, uint32_t reduced, double scale, SumOf<T>* y) {
  constexpr const char* kOp = "sum";
  const int multiprocessors = cuda::device_limits(device.index).multiprocessors;
  SumPlan plan = plan_sum(x.shape, x.strides, reduced, multiprocessors);
  const int64_t kept = plan.kept.count, count = plan.reduced.count;
  if (kept == 0) return;
  constexpr int kW = kRowPack<T>;
  if (plan.pieces > 1) {  // whole packs in every piece
    plan.piece_length = (plan.piece_length + kW - 1) / kW * kW;
    plan.pieces = (count + plan.piece_length - 1) / plan.piece_length;
  }
  const bool is_cut = plan.pieces > 1;
  const cuda::Workspace workspace(
      device, is_cut ? plan.pieces * kept * static_cast<int64_t>(sizeof(SumTotal<T>)) : 0);
  const Output<T> out{y, is_cut ? workspace.as<SumTotal<T>>() : nullptr, scale, kept};
  const StridedIndex<2> kept_index(plan.kept);
  const StridedIndex<1> reduced_index(plan.reduced);
  const bool dense = plan.reduced.rank == 1 && plan.reduced.inner_stride(0) == 1;
  const int64_t length = std::max<int64_t>(1, plan.piece_length);
  if (plan.columns) {
    launch_packs<1>(kOp, device, plan.pieces * kept,
                    ColumnsBody<T>{x.data, kept_index, reduced_index, out, count, length, dense});
  } else if (kW > 1 && (plan.piece_length == count || is_cut) &&
             rows_move_in_packs<T, kW>(plan, x.data)) {
    launch_rows(kOp, device, plan.pieces * kept, threads_per_row(length / kW, 4),
                RowsBody<T, kW>{x.data, kept_index, reduced_index, out, count, length, dense});
  } else {
    launch_rows(kOp, device, plan.pieces * kept, threads_per_row(length, 8),
                RowsBody<T, 1>{x.data, kept_index, reduced_index, out, count, length, dense});
  }
  if (is_cut) launch_packs<1>(kOp, device, kept, PiecesBody<T>{out, plan.pieces});
}

template void sum(Cuda, StridedView<const double>, uint32_t, double, double*);
template void sum(Cuda, StridedView<const float>, uint32_t, double, float*);
template void sum(Cuda, StridedView<const BFloat16>, uint32_t, double, BFloat16*);
template void sum(Cuda, StridedView<const Float16>, uint32_t, double, Float16*);
template void sum(Cuda, StridedView<const int64_t>, uint32_t, double, int64_t*);
template void sum(Cuda, StridedView<const int32_t>, uint32_t, double, int64_t*);
template void sum(Cuda, StridedView<const uint8_t>, uint32_t, double, int64_t*);
template void sum(Cuda, StridedView<const bool>, uint32_t, double, int64_t*);

}  // namespace trireme::kernels
