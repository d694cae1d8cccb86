// What Hugging Face's GPT-2 gives for a small model (tests/golden/make_gpt2_tiny.py).

#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "core/checkpoint/load_state.h"
#include "core/checkpoint/safetensors.h"
#include "core/models/gpt.h"
#include "core/models/gpt_checkpoint.h"

namespace trireme::testing {

inline std::string golden_weights_path() { return TRIREME_GOLDEN_DIR "/gpt2_tiny.safetensors"; }

inline nlohmann::json golden() {
  std::ifstream file(TRIREME_GOLDEN_DIR "/gpt2_tiny.json");
  return nlohmann::json::parse(file);
}

inline GptConfig golden_config() {
  const nlohmann::json file = golden();
  return {.vocab_size = file.at("vocab_size"),
          .context = file.at("context"),
          .layers = file.at("layers"),
          .heads = file.at("heads"),
          .dim = file.at("dim")};
}

/// A model of the golden's shape with its weights, and its batch.
struct GoldenGpt {
  explicit GoldenGpt(DType dtype)
      : gpt(golden_config(), generator, {dtype}),
        ids(from_vector(golden().at("ids").get<std::vector<int64_t>>(),
                        {golden().at("batch"), gpt.config().context})),
        targets(from_vector(golden().at("targets").get<std::vector<int64_t>>(), ids.shape())) {
    load_state(gpt.state_dict(), gpt2_weights(load_safetensors(golden_weights_path()).tensors));
  }
  Generator generator{1};
  Gpt gpt;
  Tensor ids, targets;
};

}  // namespace trireme::testing
