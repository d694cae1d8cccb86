// What one row of stored attention scores goes through, in forward and backward, by the threads of
// a team: for host and device.
//
// A Team has lane(), lanes(), max(x) and sum(x) over its threads, in one order.

#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "core/base/host_device.h"
#include "core/base/philox.h"
#include "kernels/attention.h"

namespace trireme::kernels {

/// A [batch, heads, queries, keys] operand as plain numbers.
template <typename T>
struct ScoreOperand {
  explicit ScoreOperand(const StridedView<const T>& x) : data(x.data) {
    for (int d = 0; d < 4; ++d) stride[d] = data ? x.strides[d] : 0;
  }
  TRIREME_HD const T& at(int64_t b, int64_t h, int64_t i, int64_t j) const {
    return data[b * stride[0] + h * stride[1] + i * stride[2] + j * stride[3]];
  }
  const T* data;
  int64_t stride[4];
};

/// Scores [heads, rows, keys], dense: those of queries [first, first + rows) of heads
/// [head, head + heads) of image `batch` against the first `keys` keys.
template <typename T>
struct ScoreBlock {
  using A = Acc<T>;

  int64_t batch, head, heads, first, rows, keys;
  int64_t all_heads, all_queries, all_keys;
  A scale;
  bool causal;
  ScoreOperand<bool> keep;
  ScoreOperand<T> bias;
  uint32_t drop_below;  // a weight is dropped where 24 random bits are less
  A factor;             // what makes up for it
  uint64_t seed, counter;

  /// Keys that row `row` may see.
  TRIREME_HD int64_t seen_by(int64_t row) const {
    const int64_t most = first + row + 1 + all_keys - all_queries;
    if (!causal || most > keys) return keys;
    return most < 0 ? 0 : most;
  }
  /// The score of a key that the row may see: scaled, with bias and mask.
  TRIREME_HD A score(A product, int64_t h, int64_t row, int64_t j) const {
    if (keep.data && !keep.at(batch, head + h, first + row, j)) {
      return -std::numeric_limits<A>::infinity();
    }
    const A s = scale * product;
    return bias.data ? s + static_cast<A>(bias.at(batch, head + h, first + row, j)) : s;
  }
  /// 0 where dropout drops the weight, else what makes up for those dropped.
  TRIREME_HD A kept(int64_t h, int64_t row, int64_t j) const {
    if (drop_below == 0) return A(1);
    const int64_t i = first + row;
    const int64_t at = ((batch * all_heads + head + h) * all_keys + j) * ((all_queries + 3) / 4);
    const auto words = philox(seed, counter + static_cast<uint64_t>(at + i / 4));
    const uint32_t half[2] = {i % 4 < 2 ? words[0] : words[2], i % 4 < 2 ? words[1] : words[3]};
    return half[i % 2] >> 8 < drop_below ? A(0) : factor;
  }
};

/// p = softmax of the row's scores, with dropout; returns their log-sum-exp. A row that sees no key
/// gets zeros and -infinity.
template <typename T, typename Team>
TRIREME_HD Acc<T> softmax_scores(const Team& team, const ScoreBlock<T>& block, int64_t h,
                                 int64_t row, const Acc<T>* products, T* p) {
  using A = Acc<T>;
  const int64_t seen = block.seen_by(row);
  const A masked = -std::numeric_limits<A>::infinity();
  A most = masked;
  for (int64_t j = team.lane(); j < seen; j += team.lanes()) {
    const A s = block.score(products[j], h, row, j);
    most = s > most || s != s ? s : most;
  }
  most = team.max(most);
  const A shift = most == masked ? A(0) : most;
  A sum = 0;
  for (int64_t j = team.lane(); j < seen; j += team.lanes()) {
    sum += std::exp(block.score(products[j], h, row, j) - shift);
  }
  sum = team.sum(sum);
  const A share = sum == 0 ? A(0) : A(1) / sum;
  for (int64_t j = team.lane(); j < block.keys; j += team.lanes()) {
    const A weight = j < seen ? std::exp(block.score(products[j], h, row, j) - shift) * share *
                                    block.kept(h, row, j)
                              : A(0);
    p[j] = static_cast<T>(weight);
  }
  return shift + std::log(sum);
}

/// With w = exp(score - logsumexp), f dropout's factor and delta = dout . out: p = w f, and
/// ds = scale w (f dp - delta).
template <typename T, typename Team>
TRIREME_HD void softmax_scores_backward(const Team& team, const ScoreBlock<T>& block, int64_t h,
                                        int64_t row, const Acc<T>* products, const Acc<T>* dp,
                                        Acc<T> logsumexp, const T* dout, const T* out,
                                        int64_t head_dim, T* p, T* ds) {
  using A = Acc<T>;
  A delta = 0;
  for (int64_t d = team.lane(); d < head_dim; d += team.lanes()) {
    delta += static_cast<A>(dout[d]) * static_cast<A>(out[d]);
  }
  delta = team.sum(delta);
  const A shift = logsumexp == -std::numeric_limits<A>::infinity() ? A(0) : logsumexp;
  const int64_t seen = block.seen_by(row);
  for (int64_t j = team.lane(); j < block.keys; j += team.lanes()) {
    A weight = 0, dscore = 0;
    if (j < seen) {
      const A w = std::exp(block.score(products[j], h, row, j) - shift);
      const A factor = block.kept(h, row, j);
      weight = w * factor;
      dscore = block.scale * w * (factor * dp[j] - delta);
    }
    p[j] = static_cast<T>(weight);
    ds[j] = static_cast<T>(dscore);
  }
}

/// Rows of `out` or `dout`: head h, query i of the block at data + h * head_stride + i *
/// row_stride.
template <typename T>
struct BlockRows {
  const T* data;
  int64_t head_stride, row_stride;
};

/// logsumexp[h * head_stride + i] of the block's rows.
template <typename A>
struct BlockStatistics {
  A* data;
  int64_t head_stride;
};

/// p [heads, rows, keys] and logsumexp from products q k^T of the same shape.
template <typename T>
void softmax_block(Cuda device, const ScoreBlock<T>& block, const Acc<T>* products, T* p,
                   BlockStatistics<Acc<T>> logsumexp);
/// p and ds [heads, rows, keys] from q k^T and dp = dout v^T.
template <typename T>
void softmax_block_backward(Cuda device, const ScoreBlock<T>& block, const Acc<T>* products,
                            const Acc<T>* dp, BlockStatistics<const Acc<T>> logsumexp,
                            BlockRows<T> dout, BlockRows<T> out, int64_t head_dim, T* p, T* ds);

}  // namespace trireme::kernels
