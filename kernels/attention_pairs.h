// One head of bf16 attention by products of pairs (kernels/pair_gemm.h).

#pragma once

#include "kernels/attention_block.h"
#include "kernels/pair_gemm.h"

namespace trireme::kernels {

/// What attention and attention_backward (kernels/attention.h) do for one head. Scores and sums are
/// f32. Forward multiplies weights of 16 significant bits, so that its result is rounded once;
/// backward rounds weights and the gradients of scores to bf16 for the products that follow, as on
/// CUDA. Requires an even head_dim.
void attention_in_pairs(const ForwardHead<BFloat16>& head);
void attention_in_pairs(const BackwardHead<BFloat16>& head);

}  // namespace trireme::kernels
