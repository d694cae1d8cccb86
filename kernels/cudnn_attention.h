// softmax(scale q k^T, masked) v and its gradients as graphs of cuDNN, which has fused kernels for
// them: the scores stay on chip. Dao, "FlashAttention-2", 2023.

#pragma once

#include <array>

#include "kernels/cudnn_library.h"

namespace trireme::kernels {

/// Strides of a [batch, heads, queries or keys, head_dim] tensor, in elements; the last is 1.
using AttentionStrides = std::array<int64_t, 4>;

struct AttentionShape {
  cudnnDataType_t type;
  int64_t batch, heads, kv_heads, queries, keys, head_dim;  // kv_heads, of k and v, divides heads
};

/// kCausal: query i sees keys 0 .. i.
enum class AttentionMask { kNone, kCausal };

struct AttentionForwardLayout {
  AttentionShape shape;
  AttentionMask mask;
  AttentionStrides q, k, v, out;
};

/// Arguments: q, k, v, scale (host f32), minus infinity (host f32), out, logsumexp (f32, dense).
CudnnBuilt build_attention_forward(CudnnGraph graph, const AttentionForwardLayout& layout);

struct AttentionBackwardLayout {
  AttentionForwardLayout forward;
  AttentionStrides dout, dq, dk, dv;
  /// dq in one order of additions, with batch heads queries keys elements of working memory; else
  /// blocks add to it in f32 as they finish.
  bool deterministic;
};

/// Arguments: q, k, v, out, dout, logsumexp, scale, minus infinity, one (host f32 each), delta
/// (f32 [batch, heads, queries], working memory), dq_sum (f32, dense, working memory; only without
/// `deterministic`), dq, dk, dv.
CudnnBuilt build_attention_backward(CudnnGraph graph, const AttentionBackwardLayout& layout);

}  // namespace trireme::kernels
