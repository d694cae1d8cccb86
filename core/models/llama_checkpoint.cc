#include "core/models/llama_checkpoint.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>

#include "core/autograd/no_grad.h"
#include "core/models/weight_tables.h"

namespace trireme {
namespace {

constexpr const char* kProjections[] = {"q", "k", "v"};

/// A name of Hugging Face's, and ours. Those that end in a dot have weights and maybe biases.
struct Renaming {
  std::string_view from, to;
};
constexpr Renaming kOfModel[] = {{"embed_tokens.weight", "wte.weight"},
                                 {"norm.weight", "ln_f.weight"},
                                 {"lm_head.weight", "lm_head.weight"}};
constexpr Renaming kOfBlock[] = {{"input_layernorm.weight", "ln_1.weight"},
                                 {"post_attention_layernorm.weight", "ln_2.weight"},
                                 {"self_attn.o_proj.", "attn.c_proj."},
                                 {"mlp.gate_proj.", "mlp.c_gate."},
                                 {"mlp.up_proj.", "mlp.c_fc."},
                                 {"mlp.down_proj.", "mlp.c_proj."}};

Tensor as_in_out(const Tensor& weight) {
  return weight.rank() == 2 ? views::transpose(weight.detach(), 0, 1) : weight;
}

std::string_view without_prefix(std::string_view name) {
  constexpr std::string_view kPrefix = "model.";
  return name.starts_with(kPrefix) ? name.substr(kPrefix.size()) : name;
}

/// "layers.3.rest" as block 3 and its rest.
struct InBlock {
  std::string number;
  std::string_view rest;
};
std::optional<InBlock> in_block(std::string_view name) {
  constexpr std::string_view kPrefix = "layers.";
  if (!name.starts_with(kPrefix)) return std::nullopt;
  const size_t dot = name.find('.', kPrefix.size());
  if (dot == std::string_view::npos) return std::nullopt;
  return InBlock{std::string(name.substr(kPrefix.size(), dot - kPrefix.size())),
                 name.substr(dot + 1)};
}

/// Our name, or "" for what is not known.
std::string renamed(std::string_view name) {
  for (const Renaming& r : kOfModel) {
    if (name == r.from) return std::string(r.to);
  }
  const auto block = in_block(name);
  if (!block) return "";
  for (const Renaming& r : kOfBlock) {
    if (r.from.ends_with('.') ? block->rest.starts_with(r.from) : block->rest == r.from) {
      return concat("h.", block->number, ".", r.to, block->rest.substr(r.from.size()));
    }
  }
  return "";
}

/// Queries, keys and values of one block, weights or biases.
struct Packed {
  std::array<Tensor, 3> parts;
  std::array<std::string, 3> names;  // in the file
};

/// One below the other, as c_attn has them.
Tensor joined(const Packed& packed, const GptConfig& c) {
  const int64_t head_dim = c.dim / c.heads, kv_heads = c.kv_heads > 0 ? c.kv_heads : c.heads;
  const std::array<int64_t, 3> heads{c.heads, kv_heads, kv_heads};
  const auto found = std::find_if(packed.parts.begin(), packed.parts.end(),
                                  [](const Tensor& part) { return part.defined(); });
  for (size_t i = 0; i < 3; ++i) {
    const Tensor& part = packed.parts[i];
    if (!part.defined()) {
      throw DataError(concat("llama_weights: ", packed.names[i], " is missing"));
    }
    Shape wanted{heads[i] * head_dim};
    if (found->rank() == 2) wanted.push_back(c.dim);
    if (part.shape() != wanted || part.dtype() != found->dtype()) {
      throw DataError(concat("llama_weights: ", packed.names[i], " must be ", wanted, " of ",
                             found->dtype(), ", for ", heads[i], " heads of ", head_dim, ", got ",
                             part.shape(), " of ", part.dtype()));
    }
  }
  const NoGrad no_grad;
  return concat({packed.parts[0], packed.parts[1], packed.parts[2]}, 0);
}

/// Fills in names of parts, so that a missing one can be named.
Packed& packed_at(std::map<std::string, Packed>& all, const std::string& key,
                  std::string_view before, std::string_view behind) {
  Packed& packed = all[key];
  for (size_t i = 0; i < 3; ++i) packed.names[i] = concat(before, kProjections[i], behind);
  return packed;
}

}  // namespace

bool is_llama_checkpoint(const StateDict& file) {
  return std::any_of(file.begin(), file.end(), [](const auto& entry) {
    return entry.first.find(".self_attn.q_proj.") != std::string::npos;
  });
}

StateDict llama_weights(const StateDict& file, const GptConfig& config) {
  StateDict result;
  std::map<std::string, Packed> projections;
  Tensor head, tokens;
  for (const auto& [file_name, tensor] : file) {
    const std::string_view name = without_prefix(file_name);
    if (name.ends_with(".rotary_emb.inv_freq")) continue;
    bool is_part = false;
    for (size_t i = 0; i < 3; ++i) {
      const std::string part = concat(".self_attn.", kProjections[i], "_proj.");
      const size_t at = file_name.find(part);
      const auto block = in_block(name);
      if (at == std::string::npos || !block) continue;
      const std::string kind = file_name.substr(at + part.size());
      const std::string_view before = std::string_view(file_name).substr(0, at);
      packed_at(projections, concat("h.", block->number, ".attn.c_attn.", kind),
                concat(before, ".self_attn."), concat("_proj.", kind))
          .parts[i] = tensor;
      is_part = true;
    }
    if (is_part) continue;
    const std::string ours = renamed(name);
    if (ours == "wte.weight") {
      tokens = detail::with_rows(tensor, config.vocab_rows());
      result.emplace_back(ours, tokens);
    } else if (ours == "lm_head.weight") {
      head = detail::with_rows(tensor, config.vocab_rows());
      if (!config.is_head_tied) result.emplace_back(ours, as_in_out(head));
    } else {
      result.emplace_back(ours.empty() ? file_name : ours, as_in_out(tensor));
    }
  }
  if (config.is_head_tied && head && tokens && !detail::same_bytes(head, tokens)) {
    throw DataError(
        "llama_weights: lm_head.weight must equal embed_tokens.weight where tie_word_embeddings "
        "is true, but they differ");
  }
  for (const auto& [name, packed] : projections) {
    result.emplace_back(name, as_in_out(joined(packed, config)));
  }
  return result;
}

}  // namespace trireme
