// Attention by products and a softmax over stored scores, for what cuDNN's fused kernels do not
// take (f32, f64, odd head_dim, masks, dropout). Scores are made for some heads, or some queries of
// one head, at a time, so that working memory stays bounded whatever the length.
//
// On an Engine, so that it runs on host memory too:
//   void multiply(const MatmulCall&)
//   void* allocate(int64_t bytes)   working memory that lives as long as the engine
//   void softmax(block, products, p, logsumexp), softmax_backward(..): as in attention_rows.h

#pragma once

#include <algorithm>
#include <cmath>
#include <utility>

#include "kernels/attention.h"
#include "kernels/attention_rows.h"
#include "kernels/matmul_call.h"

namespace trireme::kernels {

/// Most bytes of one buffer of scores, of which there are two (forward) or four.
inline constexpr int64_t kScoreBytes = int64_t{64} << 20;

/// How [batch, heads, queries, keys] scores are cut: all queries of `heads` heads, or `rows`
/// queries of one head.
struct ScoreCut {
  int64_t heads, rows;
};
inline ScoreCut cut_scores(int64_t heads, int64_t queries, int64_t keys, int64_t element_bytes,
                           int64_t most_bytes = kScoreBytes) {
  const int64_t most = std::max<int64_t>(1, most_bytes / (element_bytes * keys));  // rows
  return {std::clamp<int64_t>(most / queries, 1, heads), std::min(most, queries)};
}

namespace detail {

template <typename T>
ScoreBlock<T> whole_block(const Shape& q, int64_t keys, const AttentionSpec<T>& spec) {
  return {0,
          0,
          q[1],
          0,
          q[2],
          keys,
          q[1],
          q[2],
          keys,
          static_cast<Acc<T>>(spec.scale),
          spec.causal,
          ScoreOperand<bool>(spec.keep),
          ScoreOperand<T>(spec.bias),
          static_cast<uint32_t>(std::ceil(spec.dropout * 0x1p24)),
          static_cast<Acc<T>>(1 / (1 - spec.dropout)),
          spec.seed,
          spec.first};
}

/// Calls fn(block, is the first to write dk and dv) for every part of the scores.
template <typename T, typename Fn>
void each_block(ScoreBlock<T> block, int64_t batch, const ScoreCut& cut, const Fn& fn) {
  for (block.batch = 0; block.batch < batch; ++block.batch) {
    for (block.head = 0; block.head < block.all_heads; block.head += cut.heads) {
      block.heads = std::min(cut.heads, block.all_heads - block.head);
      // The last block sees every key, so taking it first lets it overwrite dk and dv.
      for (int64_t end = block.all_queries; end > 0; end -= block.rows) {
        block.rows = std::min(cut.rows, end);
        block.first = end - block.rows;
        const int64_t seen =
            block.causal ? end + block.all_keys - block.all_queries : block.all_keys;
        block.keys = std::max<int64_t>(1, seen);  // a key that is masked, where there is none
        fn(block, end == block.all_queries);
      }
    }
  }
}

/// Row `row` of the block's first head.
template <typename T, typename S>
T* place(const StridedView<T>& x, const ScoreBlock<S>& b, int64_t row) {
  return x.data + b.batch * x.strides[0] + b.head * x.strides[1] + row * x.strides[2];
}
/// Rows from `row` on as an operand; a stride of 0 or less than a row is cut_scores' caller's to
/// avoid.
template <typename T, typename S>
MatmulOperand rows_of(const StridedView<T>& x, const ScoreBlock<S>& b, int64_t row) {
  return {place(x, b, row), x.strides[2], 1, x.strides[1]};
}
inline MatmulOperand flip(MatmulOperand x) {
  std::swap(x.row_stride, x.col_stride);
  return x;
}
template <typename S>
MatmulOperand scores_of(const void* scores, const ScoreBlock<S>& b) {
  return {scores, b.keys, 1, b.rows * b.keys};
}

/// scores = x y^T per head, in the statistics' type.
template <typename T>
MatmulCall scores_product(const ScoreBlock<T>& b, int64_t head_dim, const MatmulOperand& x,
                          const MatmulOperand& y, void* scores) {
  return {dtype_of<T>, dtype_of<Acc<T>>, b.heads, b.rows, b.keys,         head_dim,
          x,           flip(y),          scores,  b.keys, b.rows * b.keys};
}
/// Rows from `row` on of `to` = x y per head.
template <typename T>
MatmulCall head_product(const ScoreBlock<T>& b, int64_t rows, int64_t inner, const MatmulOperand& x,
                        const MatmulOperand& y, const StridedView<T>& to, int64_t row,
                        Write write) {
  MatmulCall call{dtype_of<T>, dtype_of<T>, b.heads,           rows,          to.shape[3],  inner,
                  x,           y,           place(to, b, row), to.strides[2], to.strides[1]};
  call.write = write;
  return call;
}

template <typename A, typename T>
BlockStatistics<A> statistics(A* logsumexp, const ScoreBlock<T>& b) {
  return {logsumexp + (b.batch * b.all_heads + b.head) * b.all_queries + b.first, b.all_queries};
}

}  // namespace detail

/// The contract of attention (kernels/attention.h), for any dtype, head_dim and mask.
template <typename T, typename Engine>
void attention_stored(Engine& engine, const StridedView<const T>& q, const StridedView<const T>& k,
                      const StridedView<const T>& v, const AttentionSpec<T>& spec,
                      const StridedView<T>& out, Acc<T>* logsumexp, const ScoreCut& cut) {
  const int64_t keys = k.shape[2], head_dim = q.shape[3];
  const int64_t count = cut.heads * cut.rows * keys;
  auto* products = static_cast<Acc<T>*>(engine.allocate(count * int64_t{sizeof(Acc<T>)}));
  auto* p = static_cast<T*>(engine.allocate(count * int64_t{sizeof(T)}));
  detail::each_block(
      detail::whole_block(q.shape, keys, spec), q.shape[0], cut, [&](const ScoreBlock<T>& b, bool) {
        using namespace detail;
        engine.multiply(
            scores_product(b, head_dim, rows_of(q, b, b.first), rows_of(k, b, 0), products));
        engine.softmax(b, products, p, statistics(logsumexp, b));
        engine.multiply(head_product(b, b.rows, b.keys, scores_of(p, b), rows_of(v, b, 0), out,
                                     b.first, Write::kOverwrite));
      });
}

/// Where one head's queries are cut (more than 4096 by 4096 scores in f32), dk and dv add up in
/// their own dtype.
template <typename T, typename Engine>
void attention_stored_backward(Engine& engine, const StridedView<const T>& q,
                               const StridedView<const T>& k, const StridedView<const T>& v,
                               const AttentionSpec<T>& spec, const StridedView<const T>& out,
                               const Acc<T>* logsumexp, const StridedView<const T>& dout,
                               const AttentionGradients<T>& g, const ScoreCut& cut) {
  const int64_t keys = k.shape[2], head_dim = q.shape[3];
  const int64_t count = cut.heads * cut.rows * keys;
  auto* products = static_cast<Acc<T>*>(engine.allocate(2 * count * int64_t{sizeof(Acc<T>)}));
  auto* p = static_cast<T*>(engine.allocate(2 * count * int64_t{sizeof(T)}));
  Acc<T>* dp = products + count;
  T* ds = p + count;
  detail::each_block(
      detail::whole_block(q.shape, keys, spec), q.shape[0], cut,
      [&](const ScoreBlock<T>& b, bool is_first) {
        using namespace detail;
        const auto rows = [&](const StridedView<const T>& x) {
          return BlockRows<T>{place(x, b, b.first), x.strides[1], x.strides[2]};
        };
        const Write write = is_first ? Write::kOverwrite : Write::kAccumulate;
        engine.multiply(
            scores_product(b, head_dim, rows_of(q, b, b.first), rows_of(k, b, 0), products));
        engine.multiply(
            scores_product(b, head_dim, rows_of(dout, b, b.first), rows_of(v, b, 0), dp));
        engine.softmax_backward(b, products, dp, statistics(logsumexp, b), rows(dout), rows(out),
                                head_dim, p, ds);
        engine.multiply(head_product(b, b.keys, b.rows, flip(scores_of(p, b)),
                                     rows_of(dout, b, b.first), g.dv, 0, write));
        engine.multiply(head_product(b, b.keys, b.rows, flip(scores_of(ds, b)),
                                     rows_of(q, b, b.first), g.dk, 0, write));
        engine.multiply(head_product(b, b.rows, b.keys, scores_of(ds, b), rows_of(k, b, 0), g.dq,
                                     b.first, Write::kOverwrite));
      });
}

}  // namespace trireme::kernels
