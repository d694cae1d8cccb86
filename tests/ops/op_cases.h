// The rows of the op table, one function per group of core/ops/ops.h.

#pragma once

#include <vector>

#include "tests/ops/op_harness.h"

namespace trireme::testing {

std::vector<OpCase> index_cases();
std::vector<OpCase> order_cases();
std::vector<OpCase> shaping_cases();
std::vector<OpCase> statistics_cases();
std::vector<OpCase> comparing_cases();
std::vector<OpCase> einsum_cases();
std::vector<OpCase> pointwise_cases();
std::vector<OpCase> binary_cases();
std::vector<OpCase> reduction_cases();
std::vector<OpCase> view_cases();
std::vector<OpCase> product_cases();
std::vector<OpCase> network_cases();
std::vector<OpCase> attention_cases();
std::vector<OpCase> image_cases();
std::vector<OpCase> convolution_cases();
std::vector<OpCase> fused_cases();
std::vector<OpCase> activation_cases();
std::vector<OpCase> loss_cases();
std::vector<OpCase> recurrent_cases();
std::vector<OpCase> rotary_cases();

/// All of them.
std::vector<OpCase> all_cases();

}  // namespace trireme::testing
