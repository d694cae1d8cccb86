#include "core/models/gpt_checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/models/gpt2_golden.h"
#include "tests/support/temp_dir.h"

namespace trireme {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

std::vector<std::string> names_of(const StateDict& dict) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : dict) names.push_back(name);
  return names;
}

TEST(Gpt2Weights, DropsWhatIsNotAParameter) {
  const Tensor x = ones({2});
  EXPECT_THAT(names_of(gpt2_weights({{"transformer.wte.weight", x},
                                     {"transformer.h.0.attn.bias", x},
                                     {"transformer.h.0.attn.masked_bias", x},
                                     {"transformer.h.0.attn.c_attn.bias", x},
                                     {"lm_head.weight", ones({2})}})),
              ElementsAre("wte.weight", "h.0.attn.c_attn.bias"));
  EXPECT_THAT(names_of(gpt2_weights({{"wte.weight", x}, {"h.0.attn.bias", x}})),
              ElementsAre("wte.weight"));
}

TEST(Gpt2Weights, RefusesAnOutputLayerOfItsOwn) {
  for (const Tensor& head : {zeros({2, 3}), ones({3, 2})}) {
    EXPECT_THAT(
        [&] {
          gpt2_weights({{"lm_head.weight", head}, {"wte.weight", ones({2, 3})}});
        },
        ThrowsMessage<DataError>(HasSubstr("lm_head.weight must equal wte.weight")));
  }
}

TEST(Gpt2Weights, AModelOfAnotherShapeIsNamed) {
  Generator generator(1);
  GptConfig config = testing::golden_config();
  config.dim = 6;
  const Gpt gpt(config, generator);
  const auto file = load_safetensors(testing::golden_weights_path());
  EXPECT_THAT(
      [&] { load_state(gpt.state_dict(), gpt2_weights(file.tensors)); },
      ThrowsMessage<DataError>(AllOf(HasSubstr("of another shape"),
                                     HasSubstr("wte.weight is [19, 6] but [19, 12] there"))));
}

TEST(GptStateDict, RoundTripsThroughAFile) {
  const testing::TempDir dir;
  Generator first(1), second(2);
  const GptConfig config{.vocab_size = 11, .context = 6, .layers = 2, .heads = 2, .dim = 8};
  const Gpt saved(config, first), loaded(config, second);
  save_safetensors(dir / "model.safetensors", saved.state_dict());
  load_state(loaded.state_dict(),
             gpt2_weights(load_safetensors(dir / "model.safetensors").tensors));
  const Tensor ids = from_vector<int64_t>({1, 2, 10, 0}, {1, 4});
  EXPECT_EQ(saved.forward(ids).to_vector<float>(), loaded.forward(ids).to_vector<float>());
}

}  // namespace
}  // namespace trireme
