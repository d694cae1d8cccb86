// Weights in several safetensors files, as Hugging Face's libraries write large models.

#pragma once

#include <string>

#include "core/tensor/state_dict.h"

namespace trireme {

/// `path` names one safetensors file, or a model.safetensors.index.json: an object whose
/// `weight_map` says for each tensor which file beside the index holds it. Tensors come as
/// load_safetensors gives them, those of an index in its order. Throws DataError, naming the
/// tensor, where a file lacks one it should hold, and otherwise as load_safetensors.
StateDict load_weights(const std::string& path);

}  // namespace trireme
