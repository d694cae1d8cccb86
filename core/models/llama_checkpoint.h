// Llama weights from files of Hugging Face: model.safetensors, with config.json beside it.

#pragma once

#include <string>

#include "core/models/gpt.h"

namespace trireme {

/// The model that a config.json of model_type "llama" describes; context is what it calls
/// max_position_embeddings. Throws IoError where the file cannot be read, and DataError that names
/// the entry which is missing, or asks for what Gpt has not: scaled rotary positions (Llama 3.1 and
/// later), heads whose width is not hidden_size / num_attention_heads, another activation than
/// silu, biases in one kind of layers only.
GptConfig llama_config(const std::string& path);

/// Whether the tensors have the names of a Llama checkpoint.
bool is_llama_checkpoint(const StateDict& file);

/// What a Llama checkpoint holds, under the names and in the layouts that Gpt(config) uses: the
/// projections of queries, keys and values become one, and matrices [out, in] views [in, out].
/// Token tables get rows of zeros up to config.vocab_rows(). A tied lm_head.weight may be there if
/// it equals the token table. Throws DataError that names the tensor where part of a projection is
/// missing or has another shape than config says; other names are kept as they are.
StateDict llama_weights(const StateDict& file, const GptConfig& config);

}  // namespace trireme
