// GptConfig::recompute_blocks: the same numbers from less memory.

#include <gtest/gtest.h>

#include "core/amp/autocast.h"
#include "core/autograd/backward.h"
#include "core/autograd/gradient_slot.h"
#include "core/autograd/no_grad.h"
#include "core/models/gpt.h"
#include "core/tensor/allocator.h"

namespace trireme {
namespace {

Tensor random_ids(const GptConfig& config, int64_t batch) {
  Generator generator(7);
  std::vector<int64_t> ids(static_cast<size_t>(batch * config.context));
  for (int64_t& id : ids) {
    id = static_cast<int64_t>(generator.next_below(static_cast<uint64_t>(config.vocab_size)));
  }
  return from_vector(ids, {batch, config.context});
}

struct Precisions {
  DType parameters, autocast;  // kF32: no autocast
};

/// Losses and gradients of two steps; dropout goes on from one to the other.
std::vector<std::vector<double>> two_steps(GptConfig config, Precisions precisions,
                                           bool recompute) {
  config.recompute_blocks = recompute;
  Generator generator(3);
  Gpt gpt(config, generator, {precisions.parameters});
  const Tensor ids = random_ids(config, 2);
  std::vector<std::vector<double>> all;
  for (int step = 0; step < 2; ++step) {
    Tensor loss;
    {
      const Autocast autocast(precisions.autocast);
      loss = gpt.loss(ids, ids);
    }
    backward(loss);
    all.push_back(loss.to_vector<double>());
    for (const auto& [name, p] : gpt.named_parameters()) {
      all.push_back(p.grad().to_vector<double>());
    }
    gpt.zero_grad();
  }
  return all;
}

TEST(GptRecompute, GivesTheSameBits) {
  constexpr Precisions kPrecisions[] = {
      {DType::kF32, DType::kF32}, {DType::kF32, DType::kBF16}, {DType::kBF16, DType::kF32}};
  for (const Precisions& precisions : kPrecisions) {
    for (const double dropout : {0.0, 0.2}) {
      const GptConfig config{
          .vocab_size = 19, .context = 12, .layers = 3, .heads = 2, .dim = 24, .dropout = dropout};
      const auto kept = two_steps(config, precisions, false);
      EXPECT_EQ(two_steps(config, precisions, true), kept)
          << precisions.parameters << ", autocast " << precisions.autocast << ", dropout "
          << dropout;
      // Without an update only dropout makes the second step another.
      EXPECT_EQ(kept.front() != kept[kept.size() / 2], dropout > 0);
      GptConfig llama = llama_shaped(config);
      llama.kv_heads = 1;
      EXPECT_EQ(two_steps(llama, precisions, true), two_steps(llama, precisions, false))
          << "llama, " << precisions.parameters << ", autocast " << precisions.autocast;
    }
  }
}

TEST(GptRecompute, ChangesNothingWhereNothingIsRecorded) {
  GptConfig config{.vocab_size = 19, .context = 12, .layers = 2, .heads = 2, .dim = 24};
  Generator a(3), b(3);
  const Gpt plain(config, a);
  config.recompute_blocks = true;
  const Gpt again(config, b);
  const NoGrad no_grad;
  const Tensor ids = random_ids(config, 2);
  EXPECT_EQ(again.forward(ids).to_vector<float>(), plain.forward(ids).to_vector<float>());
}

/// The most that forward and backward have in use at a time, beside parameters and gradients.
double peak_activations(GptConfig config, int64_t batch, bool recompute) {
  config.recompute_blocks = recompute;
  Generator generator(3);
  Gpt gpt(config, generator);
  const Tensor ids = random_ids(config, batch);
  // Gradients have their memory from the start, as under DistributedDataParallel.
  std::vector<GradientSlot> slots;
  for (const auto& [name, p] : gpt.named_parameters()) {
    slots.emplace_back(p).set(zeros(p.shape()));
  }
  reset_peak_memory();
  const int64_t before = memory_stats().total_allocated_bytes;
  backward(gpt.loss(ids, ids));
  return static_cast<double>(memory_stats().peak_allocated_bytes - before);
}

/// Activations of f32 training in bytes. A token has 16 C elements in a block (the inputs of both
/// norms and what they give, queries, keys, values, the attention's result, and the feed-forward
/// layer before and behind gelu), a number per head, and mean and deviation of two norms; 7 C
/// outside of blocks (embedding, last norm, the gradients that pass through); and its logits.
double formula(const GptConfig& c, int64_t batch, bool recompute) {
  const double C = static_cast<double>(c.dim), L = static_cast<double>(c.layers);
  const double statistics = 4 * static_cast<double>(c.heads) + 16;
  const double block = 4 * 16 * C + statistics;
  const double blocks = recompute ? 4 * C * L + block : L * block;
  const double token = blocks + 4 * static_cast<double>(c.vocab_rows()) + 4 * 7 * C;
  return token * static_cast<double>(batch * c.context);
}

TEST(GptRecompute, KeepsOneStreamPerBlockAndOneBlock) {
  constexpr int64_t kBatch = 16;
  GptConfig config{.vocab_size = 64, .context = 32, .layers = 12, .heads = 4, .dim = 64};
  const double plain = peak_activations(config, kBatch, false);
  const double again = peak_activations(config, kBatch, true);
  EXPECT_NEAR(plain / formula(config, kBatch, false), 1, 0.1);
  EXPECT_NEAR(again / formula(config, kBatch, true), 1, 0.1);
  EXPECT_LT(again, plain / 5);
  config.layers += 4;
  const double stream = 4.0 * static_cast<double>(kBatch * config.context * config.dim);
  EXPECT_NEAR((peak_activations(config, kBatch, true) - again) / (4 * stream), 1, 0.02)
      << "what a block more costs";
}

}  // namespace
}  // namespace trireme
