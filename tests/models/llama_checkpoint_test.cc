#include "core/models/llama_checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/models/llama_golden.h"
#include "tests/support/message_of.h"
#include "tests/support/temp_dir.h"

namespace trireme {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using testing::GoldenLlama;
using ::testing::HasSubstr;
using testing::message_of;

/// A config.json that is right.
json usual() {
  return {{"model_type", "llama"},   {"vocab_size", 100},      {"hidden_size", 64},
          {"intermediate_size", 96}, {"num_hidden_layers", 3}, {"num_attention_heads", 8}};
}

GptConfig read(const json& config) {
  const testing::TempDir dir;
  return llama_config(dir.write("config.json", config.dump()));
}

TEST(LlamaConfig, HasHuggingFacesDefaults) {
  const GptConfig c = read(usual());
  EXPECT_EQ(c.vocab_size, 100);
  EXPECT_EQ(c.context, 2048);
  EXPECT_EQ(c.layers, 3);
  EXPECT_EQ(c.heads, 8);
  EXPECT_EQ(c.kv_heads, 8);
  EXPECT_EQ(c.dim, 64);
  EXPECT_EQ(c.hidden, 96);
  EXPECT_EQ(c.norm, NormKind::kRmsNorm);
  EXPECT_EQ(c.norm_eps, 1e-6);
  EXPECT_EQ(c.position, PositionKind::kRotary);
  EXPECT_EQ(c.rope_theta, 10000);
  EXPECT_EQ(c.feed_forward, FeedForwardKind::kSwiGlu);
  EXPECT_EQ(c.bias, Bias::kNo);
  EXPECT_FALSE(c.is_head_tied);
}

TEST(LlamaConfig, ReadsWhatIsThere) {
  json config = usual();
  config.update({{"num_key_value_heads", 2},
                 {"rms_norm_eps", 1e-5},
                 {"rope_theta", 500000.0},
                 {"max_position_embeddings", 128},
                 {"tie_word_embeddings", true},
                 {"attention_bias", true},
                 {"mlp_bias", true},
                 {"head_dim", 8},
                 {"rope_scaling", nullptr},
                 {"torch_dtype", "bfloat16"}});
  const GptConfig c = read(config);
  EXPECT_EQ(c.kv_heads, 2);
  EXPECT_EQ(c.norm_eps, 1e-5);
  EXPECT_EQ(c.rope_theta, 500000);
  EXPECT_EQ(c.context, 128);
  EXPECT_TRUE(c.is_head_tied);
  EXPECT_EQ(c.bias, Bias::kYes);
  config.erase("rope_theta");
  config["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 700}};
  EXPECT_EQ(read(config).rope_theta, 700);
}

TEST(LlamaConfig, CountsTheParametersOfPublishedModels) {
  // Llama 2 7B; TinyLlama 1.1B, with 4 heads of keys and values.
  const json llama2 = {{"model_type", "llama"},    {"vocab_size", 32000},
                       {"hidden_size", 4096},      {"intermediate_size", 11008},
                       {"num_hidden_layers", 32},  {"num_attention_heads", 32},
                       {"num_key_value_heads", 32}};
  EXPECT_EQ(num_parameters(read(llama2)), 6738415616);
  const json tiny = {{"model_type", "llama"},   {"vocab_size", 32000},
                     {"hidden_size", 2048},     {"intermediate_size", 5632},
                     {"num_hidden_layers", 22}, {"num_attention_heads", 32},
                     {"num_key_value_heads", 4}};
  EXPECT_EQ(num_parameters(read(tiny)), 1100048384);
}

TEST(LlamaConfig, NamesTheEntryThatIsWrong) {
  const auto message = [](const char* key, const json& value) {
    json config = usual();
    config[key] = value;
    return message_of<DataError>([&] { read(config); });
  };
  EXPECT_THAT(message("model_type", "gpt2"),
              HasSubstr(R"(model_type must be "llama", got "gpt2")"));
  EXPECT_THAT(message("model_type", nullptr), HasSubstr("model_type is missing"));
  EXPECT_THAT(message("hidden_act", "gelu"), HasSubstr(R"(hidden_act must be "silu", got "gelu")"));
  EXPECT_THAT(message("hidden_size", nullptr), HasSubstr("hidden_size is missing"));
  EXPECT_THAT(message("hidden_size", "64"),
              HasSubstr(R"(hidden_size must be a whole number from 1 to 1073741824, got "64")"));
  EXPECT_THAT(message("hidden_size", -64), HasSubstr("got -64"));
  EXPECT_THAT(message("hidden_size", 60),
              HasSubstr("multiple of num_attention_heads, got 60 and 8"));
  EXPECT_THAT(message("num_key_value_heads", 3), HasSubstr("got 3 and 8"));
  EXPECT_THAT(message("head_dim", 16), HasSubstr("head_dim must be 8, got 16"));
  EXPECT_THAT(message("rms_norm_eps", 0), HasSubstr("rms_norm_eps must be a positive number"));
  EXPECT_THAT(message("rope_theta", "big"), HasSubstr("rope_theta must be a positive number"));
  EXPECT_THAT(message("tie_word_embeddings", 1), HasSubstr("must be true or false, got 1"));
  EXPECT_THAT(message("attention_bias", true), HasSubstr("attention_bias and mlp_bias must agree"));
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    EXPECT_THAT(message(key, {{"rope_type", "llama3"}, {"factor", 8.0}}),
                HasSubstr("scaled rotary positions are not supported"));
  }
  EXPECT_THAT(message("rope_scaling", {{"type", "linear"}, {"factor", 2.0}}),
              HasSubstr("scaled rotary positions are not supported"));
  EXPECT_THAT(message("rope_scaling", 4), HasSubstr("got 4"));
}

TEST(LlamaConfig, NamesAFileThatIsNone) {
  const testing::TempDir dir;
  const std::string path = dir.write("config.json", "{\"model_type\": ");
  EXPECT_EQ(message_of<DataError>([&] { llama_config(path); }),
            "llama_config: " + path + ": it must be a JSON object");
  EXPECT_THAT(message_of<DataError>([&] { llama_config(dir / "nothing.json"); }),
              HasSubstr("nothing.json"));
}

StateDict without(StateDict tensors, const std::string& name) {
  std::erase_if(tensors, [&](const auto& entry) { return entry.first == name; });
  return tensors;
}
StateDict with(StateDict tensors, const std::string& name, const Tensor& value) {
  for (auto& [existing, tensor] : tensors) {
    if (existing == name) tensor = value;
  }
  return tensors;
}

TEST(LlamaWeights, HaveTheNamesOfGpt) {
  const GoldenLlama model("llama_tiny", DType::kF32);
  std::vector<std::string> names;
  for (const auto& [name, tensor] : model.gpt.state_dict()) {
    if (!name.starts_with("h.1.")) names.push_back(name);
  }
  EXPECT_THAT(names, ElementsAre("wte.weight", "h.0.ln_1.weight", "h.0.attn.c_attn.weight",
                                 "h.0.attn.c_proj.weight", "h.0.ln_2.weight",
                                 "h.0.mlp.c_gate.weight", "h.0.mlp.c_fc.weight",
                                 "h.0.mlp.c_proj.weight", "ln_f.weight", "lm_head.weight"));
  EXPECT_TRUE(is_llama_checkpoint(model.file().tensors));
  EXPECT_FALSE(is_llama_checkpoint(model.gpt.state_dict()));
}

TEST(LlamaWeights, DropsTheFrequenciesOldFilesStore) {
  const GoldenLlama model("llama_tiny", DType::kF32);
  StateDict file = model.file().tensors;
  file.emplace_back("model.layers.0.self_attn.rotary_emb.inv_freq", ones({2}));
  load_state(model.gpt.state_dict(), llama_weights(file, model.gpt.config()));
}

TEST(LlamaWeights, NamesWhatIsMissingAndWhatIsNotKnown) {
  const GoldenLlama model("llama_tiny", DType::kF32);
  const StateDict file = model.file().tensors;
  const auto message = [&](const StateDict& tensors) {
    return message_of<DataError>(
        [&] { load_state(model.gpt.state_dict(), llama_weights(tensors, model.gpt.config())); });
  };
  EXPECT_EQ(message(without(file, "model.layers.1.self_attn.k_proj.weight")),
            "llama_weights: model.layers.1.self_attn.k_proj.weight is missing");
  EXPECT_THAT(message(without(file, "model.layers.0.mlp.up_proj.weight")),
              HasSubstr("1 missing (h.0.mlp.c_fc.weight)"));
  EXPECT_THAT(message(without(file, "lm_head.weight")), HasSubstr("1 missing (lm_head.weight)"));
  EXPECT_EQ(message(with(file, "model.layers.0.self_attn.v_proj.weight", zeros({16, 16}))),
            "llama_weights: model.layers.0.self_attn.v_proj.weight must be [8, 16] of f32, for 2 "
            "heads of 4, got [16, 16] of f32");
  EXPECT_THAT(
      message(with(file, "model.layers.0.self_attn.k_proj.weight", zeros({8, 16}, {DType::kF64}))),
      HasSubstr("got [8, 16] of f64"));
  EXPECT_THAT(message(with(file, "model.norm.weight", zeros({3}))),
              HasSubstr("ln_f.weight is [16] but [3] there"));
  StateDict more = file;
  more.emplace_back("model.layers.0.self_attn.q_norm.weight", ones({4}));
  EXPECT_THAT(message(more), HasSubstr("1 unexpected (model.layers.0.self_attn.q_norm.weight)"));
}

TEST(LlamaWeights, ATiedHeadMayBeThereIfItIsTheTokenTable) {
  const GoldenLlama model("llama_tiny_tied", DType::kF32);
  StateDict file = model.file().tensors;
  const Tensor table = file.front().second;
  ASSERT_EQ(file.front().first, "model.embed_tokens.weight");
  file.emplace_back("lm_head.weight", clone_detached(table));
  load_state(model.gpt.state_dict(), llama_weights(file, model.gpt.config()));
  file.back().second = zeros(table.shape());
  EXPECT_THAT(message_of<DataError>([&] { llama_weights(file, model.gpt.config()); }),
              HasSubstr("lm_head.weight must equal embed_tokens.weight"));
}

TEST(LlamaWeights, PadBothTokenTables) {
  const GoldenLlama model("llama_tiny", DType::kF64);
  GptConfig config = model.gpt.config();
  config.vocab_multiple = 8;
  Generator generator(2);
  const Gpt padded(config, generator, {DType::kF64});
  load_state(padded.state_dict(), llama_weights(model.file().tensors, config));
  const auto logits = padded.forward(model.ids).to_vector<double>(),
             expected = model.gpt.forward(model.ids).to_vector<double>();
  ASSERT_EQ(logits.size(), expected.size());
  for (size_t i = 0; i < logits.size(); ++i) EXPECT_NEAR(logits[i], expected[i], 1e-12);
}

}  // namespace
}  // namespace trireme
