#include "kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/base/parallel_for.h"
#include "kernels/gemm.h"
#include "kernels/scratch.h"
#include "kernels/simd.h"

namespace trireme::kernels {
namespace {

// Scores are kept transposed, [keys, block of queries]. So the softmax over keys runs down the
// columns, whole vectors at a time, and of all five products only q and dout need transposing, one
// block at a time. The block is as wide as gemm's register tile.
constexpr int64_t kQueries = 64;

/// One head's [time, head_dim] inside a 4-d view.
template <typename T>
struct Head {
  T* data;
  int64_t row_stride;

  T* row(int64_t t) const { return data + t * row_stride; }
};
template <typename T>
Head<T> head_of(const StridedView<T>& x, int64_t index) {
  const int64_t heads = x.shape[1];
  return {x.data + index / heads * x.strides[0] + index % heads * x.strides[1], x.strides[2]};
}

/// What gemm reads: a head as it lies, a block of scores as it lies, and transposed.
template <typename T>
Operand<T> rows_of(Head<const T> x) {
  return {x.data, x.row_stride, 1};
}
template <typename T>
Operand<T> scores_operand(const T* scores) {
  return {scores, kQueries, 1};
}
template <typename T>
Operand<T> scores_transposed(const T* scores) {
  return {scores, 1, kQueries};
}

/// A block of at most kQueries queries that starts at `begin`, and how many keys it sees.
struct Block {
  int64_t begin, count, keys;
};
Block block_at(int64_t index, int64_t time) {
  const int64_t begin = index * kQueries, count = std::min(kQueries, time - begin);
  return {begin, count, begin + count};
}

/// to[d][query] = scale * rows[query][d], zero for queries beyond the block's count.
template <typename T>
void transpose_block(Head<const T> x, Block block, int64_t head_dim, T scale, T* to) {
  if (block.count < kQueries) std::fill_n(to, head_dim * kQueries, T{0});
  for (int64_t i = 0; i < block.count; ++i) {
    const T* from = x.row(block.begin + i);
    for (int64_t d = 0; d < head_dim; ++d) to[d * kQueries + i] = scale * from[d];
  }
}

/// Vectors in a row of scores.
template <typename T>
constexpr int64_t kVectors = kQueries / kLanes<T>;

/// Scores of keys that lie in a query's future become `value`.
template <typename T>
void mask_future(Block block, T value, T* scores) {
  for (int64_t j = block.begin + 1; j < block.keys; ++j) {
    std::fill_n(scores + j * kQueries, j - block.begin, value);
  }
}

/// scores[keys, queries] become exp(score - largest of the query); `largest` and `sum` per query.
template <typename T>
void exp_of_scores(int64_t keys, T* scores, T* largest, T* sum) {
  for (int64_t part = 0; part < kVectors<T>; ++part) {
    T* column = scores + part * kLanes<T>;
    Vec<T> most = broadcast(-std::numeric_limits<T>::infinity());
    for (int64_t j = 0; j < keys; ++j) most = max_of(load(column + j * kQueries), most);
    Vec<T> total = {};
    for (int64_t j = 0; j < keys; ++j) {
      const Vec<T> e = exp_of<T>(load(column + j * kQueries) - most);
      store(column + j * kQueries, e);
      total += e;
    }
    store(largest + part * kLanes<T>, most);
    store(sum + part * kLanes<T>, total);
  }
}

template <typename T>
void forward_head(int64_t time, int64_t head_dim, Head<const T> q, Head<const T> k, Head<const T> v,
                  Head<T> out, T* logsumexp) {
  const T scale = static_cast<T>(1 / std::sqrt(static_cast<double>(head_dim)));
  T* queries = scratch<T>(Scratch::kBlock, head_dim * kQueries);
  T* scores = scratch<T>(Scratch::kScores, time * kQueries);
  alignas(kVecBytes) T largest[kQueries], sum[kQueries];
  for (int64_t index = 0; index * kQueries < time; ++index) {
    const Block block = block_at(index, time);
    transpose_block(q, block, head_dim, scale, queries);
    gemm(block.keys, kQueries, head_dim, rows_of(k), scores_operand<T>(queries), scores, kQueries,
         Write::kOverwrite);
    mask_future(block, -std::numeric_limits<T>::infinity(), scores);
    exp_of_scores(block.keys, scores, largest, sum);
    gemm(block.count, head_dim, block.keys, scores_transposed<T>(scores), rows_of(v),
         out.row(block.begin), out.row_stride, Write::kOverwrite);
    for (int64_t i = 0; i < block.count; ++i) {
      T* row = out.row(block.begin + i);
      const T factor = 1 / sum[i];
      for (int64_t d = 0; d < head_dim; ++d) row[d] *= factor;
      logsumexp[block.begin + i] = largest[i] + std::log(sum[i]);
    }
  }
}

template <typename T>
struct BackwardHead {
  int64_t time, head_dim;
  Head<const T> q, k, v, out, dout;
  const T* logsumexp;
  Head<T> dq, dk, dv;

  /// Turns scores into probabilities p and dp into ds = p (dp - delta) * scale, both in place.
  void softmax_backward(Block block, T scale, T* scores, T* dscores) const {
    alignas(kVecBytes) T lse[kQueries] = {}, delta[kQueries] = {};
    for (int64_t i = 0; i < block.count; ++i) {
      lse[i] = logsumexp[block.begin + i];
      // sum_j p[j] dp[j] = dout . out: no pass over the scores is needed for it.
      const T *a = dout.row(block.begin + i), *b = out.row(block.begin + i);
      Vec<T> dot = {};
      each_vector<T>(head_dim,
                     [&](int64_t d, auto part) { dot += part.load(a + d) * part.load(b + d); });
      delta[i] = sum_of_lanes<T>(dot);
    }
    for (int64_t j = 0; j < block.keys; ++j) {
      for (int64_t part = 0; part < kVectors<T>; ++part) {
        const int64_t i = part * kLanes<T>, at = j * kQueries + i;
        const Vec<T> p = exp_of<T>(load(scores + at) - load(lse + i));
        store(scores + at, p);
        store(dscores + at, p * (load(dscores + at) - load(delta + i)) * scale);
      }
    }
    mask_future(block, T{0}, scores);
    mask_future(block, T{0}, dscores);
  }

  void run() const {
    const T scale = static_cast<T>(1 / std::sqrt(static_cast<double>(head_dim)));
    T* queries = scratch<T>(Scratch::kBlock, 2 * head_dim * kQueries);
    T* douts = queries + head_dim * kQueries;
    T* scores = scratch<T>(Scratch::kScores, 2 * time * kQueries);
    T* dscores = scores + time * kQueries;
    // The last block sees every key, so taking it first lets it overwrite dk and dv.
    for (int64_t index = (time - 1) / kQueries; index >= 0; --index) {
      const Block block = block_at(index, time);
      const Write write = block.keys == time ? Write::kOverwrite : Write::kAccumulate;
      transpose_block(q, block, head_dim, scale, queries);
      transpose_block(dout, block, head_dim, T{1}, douts);
      gemm(block.keys, kQueries, head_dim, rows_of(k), scores_operand<T>(queries), scores, kQueries,
           Write::kOverwrite);
      gemm(block.keys, kQueries, head_dim, rows_of(v), scores_operand<T>(douts), dscores, kQueries,
           Write::kOverwrite);
      softmax_backward(block, scale, scores, dscores);
      const Head<const T> block_dout{dout.row(block.begin), dout.row_stride};
      const Head<const T> block_q{q.row(block.begin), q.row_stride};
      gemm(block.keys, head_dim, block.count, scores_operand<T>(scores), rows_of(block_dout),
           dv.data, dv.row_stride, write);
      gemm(block.keys, head_dim, block.count, scores_operand<T>(dscores), rows_of(block_q), dk.data,
           dk.row_stride, write);
      gemm(block.count, head_dim, block.keys, scores_transposed<T>(dscores), rows_of(k),
           dq.row(block.begin), dq.row_stride, Write::kOverwrite);
    }
  }
};

/// Heads that are worth a thread of their own: below about 2^15 multiply-adds they are not.
int64_t grain_of(const Shape& q) {
  const int64_t work = std::max<int64_t>(1, q[2] * q[2] * q[3]);
  return std::max<int64_t>(1, (int64_t{1} << 15) / work);
}

template <typename T>
void forward(StridedView<const T> q, StridedView<const T> k, StridedView<const T> v,
             StridedView<T> out, T* logsumexp) {
  const int64_t time = q.shape[2], head_dim = q.shape[3];
  parallel_for(q.shape[0] * q.shape[1], grain_of(q.shape), [&](int64_t begin, int64_t end) {
    for (int64_t h = begin; h < end; ++h) {
      forward_head<T>(time, head_dim, head_of(q, h), head_of(k, h), head_of(v, h), head_of(out, h),
                      logsumexp + h * time);
    }
  });
}

template <typename T>
void backward(StridedView<const T> q, StridedView<const T> k, StridedView<const T> v,
              StridedView<const T> out, const T* logsumexp, StridedView<const T> dout,
              const AttentionGradients<T>& g) {
  const int64_t time = q.shape[2], head_dim = q.shape[3];
  parallel_for(q.shape[0] * q.shape[1], grain_of(q.shape), [&](int64_t begin, int64_t end) {
    for (int64_t h = begin; h < end; ++h) {
      BackwardHead<T>{time,
                      head_dim,
                      head_of(q, h),
                      head_of(k, h),
                      head_of(v, h),
                      head_of(out, h),
                      head_of(dout, h),
                      logsumexp + h * time,
                      head_of(g.dq, h),
                      head_of(g.dk, h),
                      head_of(g.dv, h)}
          .run();
    }
  });
}

}  // namespace

template <typename T>
void causal_attention(Cpu, StridedView<const T> q, StridedView<const T> k, StridedView<const T> v,
                      StridedView<T> out, Acc<T>* logsumexp) {
  forward(q, k, v, out, logsumexp);
}

template <typename T>
void causal_attention_backward(Cpu, StridedView<const T> q, StridedView<const T> k,
                               StridedView<const T> v, StridedView<const T> out,
                               const Acc<T>* logsumexp, StridedView<const T> dout,
                               AttentionGradients<T> gradients) {
  backward(q, k, v, out, logsumexp, dout, gradients);
}

#define TRIREME_INSTANTIATE(T)                                                                     \
  template void causal_attention(Cpu, StridedView<const T>, StridedView<const T>,                  \
                                 StridedView<const T>, StridedView<T>, Acc<T>*);                   \
  template void causal_attention_backward(                                                         \
      Cpu, StridedView<const T>, StridedView<const T>, StridedView<const T>, StridedView<const T>, \
      const Acc<T>*, StridedView<const T>, AttentionGradients<T>)
TRIREME_INSTANTIATE(float);
TRIREME_INSTANTIATE(double);
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels
