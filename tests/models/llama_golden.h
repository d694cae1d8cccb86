// What Llama in PyTorch gives for small models (tests/golden/make_llama_tiny.py).

#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "core/checkpoint/load_state.h"
#include "core/checkpoint/safetensors.h"
#include "core/models/llama_checkpoint.h"

namespace trireme::testing {

/// A folder of the golden's: config.json, model.safetensors, golden.json.
struct GoldenLlama {
  GoldenLlama(const std::string& name, DType dtype)
      : folder(TRIREME_GOLDEN_DIR "/" + name),
        golden(nlohmann::json::parse(std::ifstream(folder + "/golden.json"))),
        gpt(llama_config(folder + "/config.json"), generator, {dtype}),
        ids(from_vector(golden.at("ids").get<std::vector<int64_t>>(),
                        {golden.at("batch"), gpt.config().context})),
        targets(from_vector(golden.at("targets").get<std::vector<int64_t>>(), ids.shape())) {
    load_state(gpt.state_dict(), llama_weights(file().tensors, gpt.config()));
  }
  SafetensorsFile file() const { return load_safetensors(folder + "/model.safetensors"); }

  std::string folder;
  nlohmann::json golden;
  Generator generator{1};
  Gpt gpt;
  Tensor ids, targets;
};

}  // namespace trireme::testing
