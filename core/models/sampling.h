// How language models pick the next token.

#pragma once

#include <cstdint>
#include <vector>

#include "core/base/philox.h"

namespace trireme {

struct Sampling {
  double temperature = 1.0;  // 0 takes the most likely token
  int64_t top_k = 0;         // 0 considers all; ties with the last of the k are kept
};

/// A token drawn from softmax(logits / temperature). Throws InvalidArgument where logits are not
/// finite.
int64_t draw_token(std::vector<double> logits, const Sampling& sampling, Generator& generator);
/// What a call asks for: throws InvalidArgument for an empty prompt and negative numbers.
void check_generation(const std::vector<int64_t>& prompt, int64_t count, const Sampling& sampling);

}  // namespace trireme
