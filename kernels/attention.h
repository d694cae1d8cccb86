// Scaled dot-product attention, softmax(scale q k^T + mask) v, on the CPU without storing the
// scores.
//
// There queries are taken in blocks. A block's scores against the keys it may see are made, used
// and thrown away; tiles that lie wholly in the future are never computed. Working memory per
// thread is a block of scores, linear in the number of keys. Backward makes the scores, and the
// dropout mask, again from what forward read and the saved log-sum-exp. Dao, Fu, Ermon, Rudra, Re,
// "FlashAttention", 2022. Threads take whole heads, so the result does not depend on their number.
// 16-bit inputs are multiplied, summed and kept between the products in f32; bf16 in pairs where
// the processor does that (kernels/attention_pairs.h), with weights rounded to bf16 in backward.
//
// On CUDA 16-bit inputs without mask, bias and dropout go through cuDNN's fused kernels
// (kernels/attention_fused.h), in place of any strides; with TRIREME_DETERMINISTIC=1, the default,
// their backward takes working memory of one 16-bit element per score. What cuDNN does not take
// (f32, f64, odd head_dim, the options above) stores the scores of some heads or queries at a time,
// at most 64 MiB a buffer, with 16-bit probabilities between the products of 16-bit inputs. Inputs
// whose rows overlap are copied first.

#pragma once

#include <cstdint>

#include "core/base/device_tag.h"
#include "core/base/half.h"
#include "kernels/view.h"

namespace trireme::kernels {

/// What attention does beside the plain softmax of q k^T. Backward is given the same.
template <typename T>
struct AttentionSpec {
  double scale = 1;  // of q . k
  /// Query i sees keys 0 .. i + keys - queries: the last query sees every key, so that a few new
  /// queries continue earlier keys. With more queries than keys the first ones see none.
  bool causal = false;
  /// Which keys a query may see: false masks. [batch, heads, queries, keys]; stride 0 repeats, no
  /// stride need be 1. data null: all of them.
  StridedView<const bool> keep{};
  /// Added to scale q . k; -infinity masks. As keep. Takes no gradient.
  StridedView<const T> bias{};
  /// Probability of dropping a weight; the others are scaled by 1 / (1 - dropout). In [0, 1).
  double dropout = 0;
  /// Weight (b, h, i, j) is dropped where to_uniform(word i % 4 of philox(seed, first + c)) is
  /// below dropout, c = ((b heads + h) keys + j) ceil(queries / 4) + i / 4. A library with a
  /// generator of its own may draw other bits from (seed, first): forward and backward must agree.
  uint64_t seed = 0;
  uint64_t first = 0;
};

/// Philox counters that dropout consumes.
constexpr int64_t attention_counters(int64_t batch, int64_t heads, int64_t queries, int64_t keys) {
  return batch * heads * keys * ((queries + 3) / 4);
}

/// q, out: [batch, heads, queries, head_dim]; k, v: [batch, heads, keys, head_dim]; any strides
/// with contiguous head_dim, so that parts of one packed projection need no copy. logsumexp:
/// [batch, heads, queries], dense; row i's log sum_j exp(score[i, j]), kept for the gradient. A
/// query that sees no key gets zeros, and -infinity there. Requires queries, keys and head_dim > 0.
/// 2 batch heads queries keys head_dim multiply-adds, half of them masked away if causal.
template <typename T>
void attention(Cpu, StridedView<const T> q, StridedView<const T> k, StridedView<const T> v,
               const AttentionSpec<T>& spec, StridedView<T> out, Acc<T>* logsumexp);
template <typename T>
void attention(Cuda, StridedView<const T> q, StridedView<const T> k, StridedView<const T> v,
               const AttentionSpec<T>& spec, StridedView<T> out, Acc<T>* logsumexp);

template <typename T>
struct AttentionGradients {
  StridedView<T> dq, dk, dv;  // as q, k, v; overwritten
};

/// The gradients of all three inputs from what forward read and wrote. 2.5 times its work. A query
/// that sees no key gives none and gets zeros.
template <typename T>
void attention_backward(Cpu, StridedView<const T> q, StridedView<const T> k, StridedView<const T> v,
                        const AttentionSpec<T>& spec, StridedView<const T> out,
                        const Acc<T>* logsumexp, StridedView<const T> dout,
                        AttentionGradients<T> gradients);
template <typename T>
void attention_backward(Cuda, StridedView<const T> q, StridedView<const T> k,
                        StridedView<const T> v, const AttentionSpec<T>& spec,
                        StridedView<const T> out, const Acc<T>* logsumexp,
                        StridedView<const T> dout, AttentionGradients<T> gradients);

}  // namespace trireme::kernels
