// Causal attention, softmax(q k^T / sqrt(head_dim), future masked) v, without storing the scores.
//
// Queries are taken in blocks. A block's scores against the keys up to its end are made, used and
// thrown away; tiles that lie wholly in the future are never computed. Working memory per thread
// is a block of scores, linear in time. Backward makes the scores again from q, k and the saved
// log-sum-exp. Dao, Fu, Ermon, Rudra, Re, "FlashAttention", 2022. Threads take whole heads, so the
// result does not depend on their number.

#pragma once

#include "core/base/device_tag.h"
#include "core/base/half.h"
#include "kernels/view.h"

namespace trireme::kernels {

/// q, k, v, out: [batch, heads, time, head_dim], any strides with contiguous head_dim, so that
/// parts of one packed projection need no copy. logsumexp: [batch, heads, time], dense; row i's
/// log sum_j exp(score[i, j]), kept for the gradient.
/// About 2 batch heads time^2 head_dim multiply-adds, half of them masked away.
template <typename T>
void causal_attention(Cpu, StridedView<const T> q, StridedView<const T> k, StridedView<const T> v,
                      StridedView<T> out, Acc<T>* logsumexp);
template <typename T>
void causal_attention(Cuda, StridedView<const T> q, StridedView<const T> k, StridedView<const T> v,
                      StridedView<T> out, Acc<T>* logsumexp);

template <typename T>
struct AttentionGradients {
  StridedView<T> dq, dk, dv;  // as q, k, v; overwritten
};

/// The gradients of all three inputs from what forward read and wrote. 2.5 times its work.
template <typename T>
void causal_attention_backward(Cpu, StridedView<const T> q, StridedView<const T> k,
                               StridedView<const T> v, StridedView<const T> out,
                               const Acc<T>* logsumexp, StridedView<const T> dout,
                               AttentionGradients<T> gradients);
template <typename T>
void causal_attention_backward(Cuda, StridedView<const T> q, StridedView<const T> k,
                               StridedView<const T> v, StridedView<const T> out,
                               const Acc<T>* logsumexp, StridedView<const T> dout,
                               AttentionGradients<T> gradients);

}  // namespace trireme::kernels
