#include "core/models/gpt_checkpoint.h"

#include "core/models/weight_tables.h"

namespace trireme {

StateDict gpt2_weights(const StateDict& file, int64_t vocab_rows) {
  constexpr std::string_view kPrefix = "transformer.";
  StateDict result;
  Tensor head, token_embedding;
  for (const auto& [name, tensor] : file) {
    if (name == "lm_head.weight") {
      head = tensor;
      continue;
    }
    if (name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias")) continue;
    result.emplace_back(name.starts_with(kPrefix) ? name.substr(kPrefix.size()) : name, tensor);
    if (result.back().first == "wte.weight") token_embedding = tensor;
  }
  if (head && token_embedding && !detail::same_bytes(head, token_embedding)) {
    throw DataError(
        "gpt2_weights: lm_head.weight must equal wte.weight, but they differ; "
        "GPT-2 has no output layer of its own");
  }
  for (auto& [name, tensor] : result) {
    if (name == "wte.weight") tensor = detail::with_rows(tensor, vocab_rows);
  }
  return result;
}

}  // namespace trireme
