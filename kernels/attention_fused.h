// Attention on CUDA by cuDNN's fused kernels: scores stay on the chip.
//
// They take 16-bit q, k and v without mask, bias and dropout, in place of any strides: packed
// projections are read and written as they lie. Heads of k and v may be fewer than those of q.

#pragma once

#include "kernels/attention.h"

namespace trireme::kernels {

/// The contract of attention (kernels/attention.h), but k and v: [batch, kv_heads, keys, head_dim],
/// where kv_heads divides heads: query head h reads head h / (heads / kv_heads). False, and nothing
/// queued, where cuDNN has no kernel for it.
template <typename T>
bool attention_fused(Cuda device, const StridedView<const T>& q, const StridedView<const T>& k,
                     const StridedView<const T>& v, const AttentionSpec<T>& spec,
                     const StridedView<T>& out, float* logsumexp);

/// dk and dv are the sums over the query heads that read them, each of whose shares is rounded.
template <typename T>
bool attention_fused_backward(Cuda device, const StridedView<const T>& q,
                              const StridedView<const T>& k, const StridedView<const T>& v,
                              const AttentionSpec<T>& spec, const StridedView<const T>& out,
                              const float* logsumexp, const StridedView<const T>& dout,
                              const AttentionGradients<T>& gradients);

}  // namespace trireme::kernels
