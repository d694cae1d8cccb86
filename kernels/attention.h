// Causal attention, softmax(q k^T / sqrt(head_dim), future masked) v, without storing the scores.
//
// Queries are taken in blocks. A block's scores against the keys up to its end are made, used and
// thrown away; tiles that lie wholly in the future are never computed. Working memory per thread
// is a block of scores, linear in time. Backward makes the scores again from q, k and the saved
// log-sum-exp. Dao, Fu, Ermon, Rudra, Re, "FlashAttention", 2022. Threads take whole heads, so the
// result does not depend on their number.

#pragma once

#include "kernels/device_tag.h"
#include "kernels/view.h"

namespace trireme::kernels {

/// q, k, v, out: [batch, heads, time, head_dim], any strides with contiguous head_dim, so that
/// parts of one packed projection need no copy. logsumexp: [batch, heads, time], dense; row i's
/// log sum_j exp(score[i, j]), kept for the gradient.
/// About 2 batch heads time^2 head_dim multiply-adds, half of them masked away.
void causal_attention(Cpu, StridedView<const float> q, StridedView<const float> k,
                      StridedView<const float> v, StridedView<float> out, float* logsumexp);
void causal_attention(Cpu, StridedView<const double> q, StridedView<const double> k,
                      StridedView<const double> v, StridedView<double> out, double* logsumexp);

template <typename T>
struct AttentionGradients {
  StridedView<T> dq, dk, dv;  // as q, k, v; overwritten
};

/// The gradients of all three inputs from what forward read and wrote. 2.5 times its work.
void causal_attention_backward(Cpu, StridedView<const float> q, StridedView<const float> k,
                               StridedView<const float> v, StridedView<const float> out,
                               const float* logsumexp, StridedView<const float> dout,
                               AttentionGradients<float> gradients);
void causal_attention_backward(Cpu, StridedView<const double> q, StridedView<const double> k,
                               StridedView<const double> v, StridedView<const double> out,
                               const double* logsumexp, StridedView<const double> dout,
                               AttentionGradients<double> gradients);

}  // namespace trireme::kernels
