#include "core/models/gpt_checkpoint.h"

#include <cstring>

#include "core/tensor/view.h"

namespace trireme {
namespace {

bool same_bytes(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape() || a.dtype() != b.dtype()) return false;
  const Tensor x = to_contiguous(a), y = to_contiguous(b);
  return x.raw_data() == y.raw_data() ||
         std::memcmp(x.raw_data(), y.raw_data(), static_cast<size_t>(x.nbytes())) == 0;
}

}  // namespace

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
  if (head && token_embedding && !same_bytes(head, token_embedding)) {
    throw DataError(
        "gpt2_weights: lm_head.weight must equal wte.weight, but they differ; "
        "models with an untied output layer are not supported");
  }
  for (auto& [name, tensor] : result) {
    if (name != "wte.weight" || tensor.rank() != 2 || tensor.size(0) >= vocab_rows) continue;
    const Tensor padded = zeros({vocab_rows, tensor.size(1)}, {tensor.dtype(), tensor.device()});
    copy_inplace(views::slice(padded, 0, 0, tensor.size(0)), tensor.detach());
    tensor = padded;
  }
  return result;
}

}  // namespace trireme
