// GPT-2 weights from files of other tools.

#pragma once

#include "core/models/gpt.h"

namespace trireme {

/// What a GPT-2 checkpoint holds, under the names Gpt uses: drops the prefix "transformer." that
/// models with a language-model head carry, the stored causal masks (attn.bias, attn.masked_bias),
/// and lm_head.weight, which is wte.weight again. Throws DataError if it is not: Gpt has no output
/// layer of its own to put it in. wte.weight gets rows of zeros up to `vocab_rows`, for a padded
/// vocabulary; 0: none.
StateDict gpt2_weights(const StateDict& file, int64_t vocab_rows = 0);

}  // namespace trireme
