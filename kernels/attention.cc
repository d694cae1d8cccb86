#include "kernels/attention.h"

#include "core/base/parallel_for.h"
#include "kernels/attention_block.h"
#include "kernels/attention_pairs.h"
#include "kernels/half_rows.h"
#include "kernels/scratch.h"

namespace trireme::kernels {
namespace {

/// x's rows in f32, dense, in `to`: 16-bit elements are widened once per head.
template <typename T>
Head<const Acc<T>> widened(Head<const T> x, int64_t rows, int64_t head_dim, Acc<T>* to) {
  if constexpr (std::is_same_v<T, Acc<T>>) {
    return x;
  } else {
    for (int64_t t = 0; t < rows; ++t) convert_row(to + t * head_dim, x.row(t), head_dim);
    return {to, head_dim};
  }
}
/// Where a product for `x` is written: x itself, or `to` until `narrow`.
template <typename T>
Head<Acc<T>> writable(Head<T> x, int64_t head_dim, Acc<T>* to) {
  if constexpr (std::is_same_v<T, Acc<T>>) {
    return x;
  } else {
    return {to, head_dim};
  }
}
template <typename T>
void narrow(Head<Acc<T>> from, int64_t rows, int64_t head_dim, Head<T> to) {
  if constexpr (!std::is_same_v<T, Acc<T>>) {
    for (int64_t t = 0; t < rows; ++t) convert_row(to.row(t), from.row(t), head_dim);
  }
}

/// Elements of f32 copies that 16-bit types need.
template <typename T>
constexpr int64_t copies(int64_t elements) {
  return is_half<T> ? elements : 0;
}

template <typename T>
void forward(const ForwardHead<T>& head) {
  using A = Acc<T>;
  const auto& [sight, head_dim, q, k, v, out, logsumexp] = head;
  const A scale = static_cast<A>(sight.spec.scale);
  const int64_t block_size = head_dim * kQueries, head_size = sight.keys * head_dim;
  A* queries = scratch<A>(Scratch::kBlock, 2 * block_size + copies<T>(2 * head_size));
  A* sums = queries + block_size;
  A* wide = sums + block_size;
  A* scores = scratch<A>(Scratch::kScores, sight.keys * kQueries);
  const auto keys = widened(k, sight.keys, head_dim, wide);
  const auto values = widened(v, sight.keys, head_dim, wide + head_size);
  alignas(kVecBytes) A largest[kQueries], sum[kQueries];
  for (int64_t number = 0; number * kQueries < sight.queries; ++number) {
    const Block block = sight.block(number);
    transpose_block(q, block, head_dim, scale, queries);
    gemm(block.keys, kQueries, head_dim, rows_of(keys), scores_operand<A>(queries), scores,
         kQueries, Write::kOverwrite);
    head.softmax(block, scores, largest, sum);
    gemm(block.count, head_dim, block.keys, scores_transposed<A>(scores), rows_of(values), sums,
         head_dim, Write::kOverwrite);
    head.finish(block, sums, head_dim, largest, sum);
  }
}

template <typename T>
void backward(const BackwardHead<T>& head) {
  using A = Acc<T>;
  const auto& [sight, head_dim, q, k, v, out, dout, logsumexp, dq, dk, dv] = head;
  const A scale = static_cast<A>(sight.spec.scale);
  const int64_t block_size = head_dim * kQueries, head_size = sight.keys * head_dim;
  A* queries =
      scratch<A>(Scratch::kBlock, 2 * block_size + copies<T>(4 * head_size + 3 * block_size));
  A* douts = queries + block_size;
  A* wide = douts + block_size;
  A* scores = scratch<A>(Scratch::kScores, 2 * sight.keys * kQueries);
  A* dscores = scores + sight.keys * kQueries;
  const auto keys = widened(k, sight.keys, head_dim, wide);
  const auto values = widened(v, sight.keys, head_dim, wide + head_size);
  const Head<A> to_dk = writable(dk, head_dim, wide + 2 * head_size);
  const Head<A> to_dv = writable(dv, head_dim, wide + 3 * head_size);
  A* wide_block = wide + copies<T>(4 * head_size);
  // The last block sees every key, so taking it first lets it overwrite dk and dv.
  const int64_t last = (sight.queries - 1) / kQueries;
  for (int64_t number = last; number >= 0; --number) {
    const Block block = sight.block(number);
    const Write write = number == last ? Write::kOverwrite : Write::kAccumulate;
    transpose_block(q, block, head_dim, scale, queries);
    transpose_block(dout, block, head_dim, A{1}, douts);
    gemm(block.keys, kQueries, head_dim, rows_of(keys), scores_operand<A>(queries), scores,
         kQueries, Write::kOverwrite);
    gemm(block.keys, kQueries, head_dim, rows_of(values), scores_operand<A>(douts), dscores,
         kQueries, Write::kOverwrite);
    head.softmax(block, scores, dscores, scores, dscores);
    const Head<const T> narrow_dout{dout.row(block.begin), dout.row_stride};
    const Head<const T> narrow_q{q.row(block.begin), q.row_stride};
    const auto block_dout = widened(narrow_dout, block.count, head_dim, wide_block);
    const auto block_q = widened(narrow_q, block.count, head_dim, wide_block + block_size);
    gemm(block.keys, head_dim, block.count, scores_operand<A>(scores), rows_of(block_dout),
         to_dv.data, to_dv.row_stride, write);
    gemm(block.keys, head_dim, block.count, scores_operand<A>(dscores), rows_of(block_q),
         to_dk.data, to_dk.row_stride, write);
    const Head<T> block_dq{dq.row(block.begin), dq.row_stride};
    const Head<A> to_dq = writable(block_dq, head_dim, wide_block + 2 * block_size);
    gemm(block.count, head_dim, block.keys, scores_transposed<A>(dscores), rows_of(keys),
         to_dq.data, to_dq.row_stride, Write::kOverwrite);
    narrow(to_dq, block.count, head_dim, block_dq);
  }
  narrow(to_dk, sight.keys, head_dim, dk);
  narrow(to_dv, sight.keys, head_dim, dv);
}

/// True if bf16 is multiplied in pairs.
bool in_pairs(int64_t head_dim) { return kMultipliesPairs && head_dim % 2 == 0; }

/// Calls fn(index) for every head. Below about 2^15 multiply-adds one is not worth a thread.
template <typename Fn>
void each_head(const Shape& q, int64_t keys, const Fn& fn) {
  const int64_t work = std::max<int64_t>(1, q[2] * keys * q[3]);
  parallel_for(q[0] * q[1], std::max<int64_t>(1, (int64_t{1} << 15) / work),
               [&](int64_t begin, int64_t end) {
                 for (int64_t h = begin; h < end; ++h) fn(h);
               });
}

}  // namespace

template <typename T>
void attention(Cpu, StridedView<const T> q, StridedView<const T> k, StridedView<const T> v,
               const AttentionSpec<T>& spec, StridedView<T> out, Acc<T>* logsumexp) {
  const int64_t queries = q.shape[2], head_dim = q.shape[3], keys = k.shape[2];
  each_head(q.shape, keys, [&](int64_t h) {
    const ForwardHead<T> head{visibility_of(spec, q.shape, keys, h),
                              head_dim,
                              head_of(q, h),
                              head_of(k, h),
                              head_of(v, h),
                              head_of(out, h),
                              logsumexp + h * queries};
    if constexpr (std::is_same_v<T, BFloat16>) {
      if (in_pairs(head_dim)) return attention_in_pairs(head);
    }
    forward(head);
  });
}

template <typename T>
void attention_backward(Cpu, StridedView<const T> q, StridedView<const T> k, StridedView<const T> v,
                        const AttentionSpec<T>& spec, StridedView<const T> out,
                        const Acc<T>* logsumexp, StridedView<const T> dout,
                        AttentionGradients<T> g) {
  const int64_t queries = q.shape[2], head_dim = q.shape[3], keys = k.shape[2];
  each_head(q.shape, keys, [&](int64_t h) {
    const BackwardHead<T> head{visibility_of(spec, q.shape, keys, h),
                               head_dim,
                               head_of(q, h),
                               head_of(k, h),
                               head_of(v, h),
                               head_of(out, h),
                               head_of(dout, h),
                               logsumexp + h * queries,
                               head_of(g.dq, h),
                               head_of(g.dk, h),
                               head_of(g.dv, h)};
    if constexpr (std::is_same_v<T, BFloat16>) {
      if (in_pairs(head_dim)) return attention_in_pairs(head);
    }
    backward(head);
  });
}

#define TRIREME_INSTANTIATE(T)                                                                   \
  template void attention(Cpu, StridedView<const T>, StridedView<const T>, StridedView<const T>, \
                          const AttentionSpec<T>&, StridedView<T>, Acc<T>*);                     \
  template void attention_backward(Cpu, StridedView<const T>, StridedView<const T>,              \
                                   StridedView<const T>, const AttentionSpec<T>&,                \
                                   StridedView<const T>, const Acc<T>*, StridedView<const T>,    \
                                   AttentionGradients<T>)
TRIREME_INSTANTIATE(float);
TRIREME_INSTANTIATE(double);
TRIREME_INSTANTIATE(BFloat16);
TRIREME_INSTANTIATE(Float16);
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels
