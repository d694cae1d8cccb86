// A block of queries inside attention on the CPU: its scores, what masks them, what drops them, and
// what is done to them between the products.
//
// Scores are kept transposed, [keys, block of queries]. So the softmax over keys runs down the
// columns, whole vectors at a time, and of all five products only q and dout need transposing, one
// block at a time. The block is as wide as gemm's register tile.

#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/attention.h"
#include "kernels/gemm.h"
#include "kernels/philox_abreast.h"
#include "kernels/simd.h"

namespace trireme::kernels {

inline constexpr int64_t kQueries = 64;

/// Vectors in a row of scores.
template <typename A>
inline constexpr int64_t kVectors = kQueries / kLanes<A>;

template <typename A>
inline constexpr A kMasked = -std::numeric_limits<A>::infinity();

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
template <typename A>
Operand<A> rows_of(Head<const A> x) {
  return {x.data, x.row_stride, 1};
}
template <typename A>
Operand<A> scores_operand(const A* scores) {
  return {scores, kQueries, 1};
}
template <typename A>
Operand<A> scores_transposed(const A* scores) {
  return {scores, 1, kQueries};
}

/// Queries that are told apart where a causal mask cuts through a block: what a strip of them does
/// not see is not computed.
inline constexpr int64_t kStrip = 16;

/// A block of at most kQueries queries that starts at `begin`, and how many keys it may see.
struct Block {
  int64_t begin, count, keys;
};

/// to[d][query] = scale * rows[query][d], zero for queries beyond the block's count.
template <typename T>
void transpose_block(Head<const T> x, Block block, int64_t head_dim, Acc<T> scale, Acc<T>* to) {
  if (block.count < kQueries) std::fill_n(to, head_dim * kQueries, Acc<T>{0});
  for (int64_t i = 0; i < block.count; ++i) {
    const T* from = x.row(block.begin + i);
    for (int64_t d = 0; d < head_dim; ++d) to[d * kQueries + i] = scale * from[d];
  }
}

/// One head of an attention with its mask: everything that depends on the pair of query and key.
template <typename T>
struct Visibility {
  using A = Acc<T>;

  const AttentionSpec<T>& spec;
  int64_t queries, keys;
  int64_t index;  // of the head, over all batches
  int64_t batch, head;

  Block block(int64_t number) const {
    const int64_t begin = number * kQueries, count = std::min(kQueries, queries - begin);
    const int64_t seen = spec.causal ? begin + count + keys - queries : keys;
    return {begin, count, std::max<int64_t>(0, seen)};
  }

  /// The last key that the first query of the block sees, if it is causal.
  int64_t diagonal(Block block) const { return block.begin + keys - queries; }

  /// Calls fn(begin, end, from) for runs of the block's keys: those in [begin, end) are seen by
  /// queries from `from` on only, a multiple of kStrip. begin is even.
  template <typename Fn>
  void each_run(Block block, const Fn& fn) const {
    const int64_t common = common_keys(block);
    if (common > 0) fn(int64_t{0}, common, int64_t{0});
    for (int64_t j = common; j < block.keys; j += kStrip) {
      const int64_t masked = std::clamp<int64_t>(j - diagonal(block), 0, kQueries);
      fn(j, std::min(j + kStrip, block.keys), masked / kStrip * kStrip);
    }
  }
  /// How many keys the strip of queries from `from` on sees, up to the end of a run.
  int64_t seen_by_strip(Block block, int64_t from) const {
    const int64_t common = common_keys(block);
    if (common == block.keys) return common;
    const int64_t more = std::max<int64_t>(0, diagonal(block) + from + kStrip - common);
    return std::min(block.keys, common + (more + kStrip - 1) / kStrip * kStrip);
  }

  /// Scores of keys that a query may not see become -infinity, and bias is added to the others.
  void mask(Block block, A* scores) const {
    if (spec.causal) {
      const int64_t last = diagonal(block);
      for (int64_t j = std::max<int64_t>(0, last + 1); j < block.keys; ++j) {
        std::fill_n(scores + j * kQueries, std::min(kQueries, j - last), kMasked<A>);
      }
    }
    each_pair(spec.keep, block, [&](int64_t at, bool keep) {
      if (!keep) scores[at] = kMasked<A>;
    });
    each_pair(spec.bias, block, [&](int64_t at, A bias) { scores[at] += bias; });
  }

  /// Calls fn(j, factors) for every key of the block: what dropout multiplies its row by.
  template <typename Fn>
  void each_dropped(Block block, const Fn& fn) const {
    static_assert(kAbreast * 4 % kQueries == 0);
    constexpr int64_t kRows = kAbreast * 4 / kQueries, kPerRow = kQueries / 4;
    const auto limit = static_cast<uint32_t>(std::ceil(spec.dropout * 0x1p24));
    const A factor = static_cast<A>(1 / (1 - spec.dropout));
    const int64_t row_counters = (queries + 3) / 4;
    for (int64_t j = 0; j < block.keys; j += kRows) {
      uint32_t words[4][kAbreast];
      const int64_t from = (index * keys + j) * row_counters + block.begin / 4;
      philox_abreast(
          spec.seed,
          [&](int lane) {
            return spec.first +
                   static_cast<uint64_t>(from + lane / kPerRow * row_counters + lane % kPerRow);
          },
          words);
      A factors[kAbreast * 4];
      for (int lane = 0; lane < kAbreast; ++lane) {
        for (int w = 0; w < 4; ++w) {
          factors[4 * lane + w] = (words[w][lane] >> 8) < limit ? A{0} : factor;
        }
      }
      for (int64_t r = 0; r < std::min(kRows, block.keys - j); ++r) {
        fn(j + r, factors + r * kQueries);
      }
    }
  }

  /// Keys that all queries of the block see, an even number, if not all of them.
  int64_t common_keys(Block block) const {
    if (!spec.causal) return block.keys;
    return std::clamp<int64_t>(diagonal(block), 0, block.keys) & ~int64_t{1};
  }

  /// Calls fn(place among the scores, element) for every pair of the block.
  template <typename E, typename Fn>
  void each_pair(const StridedView<const E>& x, Block block, const Fn& fn) const {
    if (!x.data) return;
    const E* from = x.data + batch * x.strides[0] + head * x.strides[1];
    from += block.begin * x.strides[2];
    for (int64_t j = 0; j < block.keys; ++j) {
      for (int64_t i = 0; i < block.count; ++i) {
        fn(j * kQueries + i, from[i * x.strides[2] + j * x.strides[3]]);
      }
    }
  }
};

template <typename T>
Visibility<T> visibility_of(const AttentionSpec<T>& spec, const Shape& q, int64_t keys,
                            int64_t index) {
  return {spec, q[2], keys, index, index / q[1], index % q[1]};
}

/// scores[keys, queries] become exp(score - largest of the query); `largest` and `sum` per query.
/// Where all are masked: `largest` is -infinity, `sum` and the exponentials are 0. seen(query) keys
/// may be unmasked for the vector of queries from `query` on.
template <typename A, typename Seen>
void exp_of_scores(int64_t all_keys, const Seen& seen, A* scores, A* largest, A* sum) {
  for (int64_t part = 0; part < kVectors<A>; ++part) {
    const int64_t keys = seen(part * kLanes<A>);
    A* column = scores + part * kLanes<A>;
    Vec<A> most = broadcast(kMasked<A>);
    for (int64_t j = 0; j < keys; ++j) most = max_of(load(column + j * kQueries), most);
    const Vec<A> shift = most == broadcast(kMasked<A>) ? Vec<A>{} : most;
    Vec<A> total = {};
    for (int64_t j = 0; j < keys; ++j) {
      const Vec<A> e = exp_of<A>(load(column + j * kQueries) - shift);
      store(column + j * kQueries, e);
      total += e;
    }
    for (int64_t j = keys; j < all_keys; ++j) store(column + j * kQueries, Vec<A>{});
    store(largest + part * kLanes<A>, most);
    store(sum + part * kLanes<A>, total);
  }
}

/// One head's forward pass.
template <typename T>
struct ForwardHead {
  Visibility<T> sight;
  int64_t head_dim;
  Head<const T> q, k, v;
  Head<T> out;
  Acc<T>* logsumexp;

  /// Divides the block's rows of sums by those of their weights and writes them, with the
  /// statistics.
  void finish(Block block, Acc<T>* rows, int64_t row_stride, const Acc<T>* largest,
              const Acc<T>* sum) const {
    using A = Acc<T>;
    for (int64_t i = 0; i < block.count; ++i) {
      const A* row = rows + i * row_stride;
      T* to = out.row(block.begin + i);
      const A factor = sum[i] == 0 ? 0 : 1 / sum[i];
      each_vector<A>(
          head_dim, [&](int64_t d, auto part) { part.store(to + d, part.load(row + d) * factor); });
      logsumexp[block.begin + i] = largest[i] + std::log(sum[i]);
    }
  }
  /// Masks the block's scores and makes weights of them, with dropout, in place.
  void softmax(Block block, Acc<T>* scores, Acc<T>* largest, Acc<T>* sum) const {
    sight.mask(block, scores);
    static_assert(kStrip % kLanes<Acc<T>> == 0);
    exp_of_scores(
        block.keys,
        [&](int64_t query) { return sight.seen_by_strip(block, query / kStrip * kStrip); }, scores,
        largest, sum);
    if (sight.spec.dropout == 0) return;
    sight.each_dropped(block, [&](int64_t j, const Acc<T>* factors) {
      for (int64_t i = 0; i < kQueries; ++i) scores[j * kQueries + i] *= factors[i];
    });
  }
};

/// One head's backward pass.
template <typename T>
struct BackwardHead {
  using A = Acc<T>;

  Visibility<T> sight;
  int64_t head_dim;
  Head<const T> q, k, v, out, dout;
  const A* logsumexp;
  Head<T> dq, dk, dv;

  /// dout . out of a query: sum_j p[j] dp[j] without a pass over the scores.
  A delta_of(int64_t query) const {
    const T *a = dout.row(query), *b = out.row(query);
    Vec<A> dot = {};
    each_vector<A>(head_dim,
                   [&](int64_t d, auto part) { dot += part.load(a + d) * part.load(b + d); });
    return sum_of_lanes<A>(dot);
  }

  /// From scores and dp (dscores) the probabilities p and ds = p (dp - delta) * scale; with
  /// dropout's factors f: p f, and p (f dp - delta) * scale. Either may stay in its place.
  template <typename P>
  void softmax(Block block, A* scores, const A* dscores, P* p, P* ds) const {
    const A scale = static_cast<A>(sight.spec.scale);
    alignas(kVecBytes) A lse[kQueries] = {}, delta[kQueries] = {};
    for (int64_t i = 0; i < block.count; ++i) {
      const A sum = logsumexp[block.begin + i];
      lse[i] = sum == kMasked<A> ? 0 : sum;  // all scores are -infinity then, and their p is 0
      delta[i] = delta_of(block.begin + i);
    }
    sight.mask(block, scores);
    const auto row = [&](int64_t j, auto drop) {
      const int64_t masked =
          sight.spec.causal ? std::max<int64_t>(0, j - sight.diagonal(block)) : 0;
      const int64_t first = std::min(kVectors<A>, masked / kLanes<A>);
      for (int64_t part = 0; part < first; ++part) {
        store(p + j * kQueries + part * kLanes<A>, Vec<A>{});
        store(ds + j * kQueries + part * kLanes<A>, Vec<A>{});
      }
      for (int64_t part = first; part < kVectors<A>; ++part) {
        const int64_t i = part * kLanes<A>, at = j * kQueries + i;
        const Vec<A> weight = exp_of<A>(load(scores + at) - load(lse + i));
        const Vec<A> dp = drop(i, load(dscores + at));
        store(p + at, drop(i, weight));
        store(ds + at, weight * (dp - load(delta + i)) * scale);
      }
    };
    if (sight.spec.dropout > 0) {
      sight.each_dropped(block, [&](int64_t j, const A* factors) {
        row(j, [=](int64_t i, Vec<A> x) { return x * load(factors + i); });
      });
    } else {
      for (int64_t j = 0; j < block.keys; ++j) row(j, [](int64_t, Vec<A> x) { return x; });
    }
  }
};

}  // namespace trireme::kernels
