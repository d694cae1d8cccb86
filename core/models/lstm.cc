#include "core/models/lstm.h"

#include "core/autograd/no_grad.h"
#include "core/nn/init.h"

namespace trireme {
namespace {

LstmConfig checked(const LstmConfig& c) {
  require(c.vocab_size > 0 && c.layers > 0 && c.dim > 0, "lstm",
          "vocabulary, layers and dim must be positive, got ", c.vocab_size, ", ", c.layers, ", ",
          c.dim);
  return c;
}

}  // namespace

LstmLanguageModel::LstmLanguageModel(const LstmConfig& config, Generator& generator,
                                     TensorOptions options)
    : config_(checked(config)),
      embedding_(config.vocab_size, config.dim, generator, options),
      dropout_(config.dropout, generator),
      lstm_({.in = config.dim,
             .hidden = config.dim,
             .layers = config.layers,
             .dropout = config.dropout},
            generator, options),
      head_(config.dim, config.vocab_size, generator, Bias::kYes, options) {
  register_module("embedding", embedding_);
  register_module("dropout", dropout_);
  register_module("lstm", lstm_);
  register_module("head", head_);
  for (const auto& [name, parameter] : lstm_.named_parameters()) {
    if (!name.starts_with("bias")) continue;
    init::zeros(parameter);
    // Gates i, f, g, o; half of the 1 comes from either bias.
    init::constant(slice(parameter.detach(), 0, config.dim, 2 * config.dim), 0.5);
  }
}

LstmLanguageModel::Result LstmLanguageModel::forward(const Tensor& ids,
                                                     const LstmState& state) const {
  require(ids.rank() == 2, "lstm", "ids must be [batch, time], got ", ids.shape());
  auto [y, last] = lstm_.forward(dropout_.forward(embedding_.forward(ids)), state);
  // Time comes first in memory; the product need not copy it.
  const Tensor logits = head_.forward(dropout_.forward(transpose(y, 0, 1)));
  return {transpose(logits, 0, 1), std::move(last)};
}

Tensor LstmLanguageModel::loss(const Tensor& ids, const Tensor& targets) const {
  require(targets.shape() == ids.shape(), "lstm", "targets must be ", ids.shape(), ", got ",
          targets.shape());
  // In the order of memory, where the logits are dense.
  const Tensor logits = transpose(forward(ids).logits, 0, 1);
  return cross_entropy(logits, transpose(targets, 0, 1));
}

std::vector<int64_t> LstmLanguageModel::generate(const std::vector<int64_t>& prompt, int64_t count,
                                                 const Sampling& sampling,
                                                 Generator& generator) const {
  check_generation(prompt, count, sampling);
  NoGrad no_grad;
  std::vector<int64_t> tokens = prompt, piece = prompt;
  LstmState state;
  for (int64_t i = 0; i < count; ++i) {
    const auto time = static_cast<int64_t>(piece.size());
    const Tensor ids = from_vector(piece, {1, time}, embedding_.weight().device());
    Result result = forward(ids, state);
    state = std::move(result.state);
    const Tensor last = slice(result.logits, 1, time - 1, time);
    tokens.push_back(draw_token(last.to_vector<double>(), sampling, generator));
    piece = {tokens.back()};
  }
  return tokens;
}

}  // namespace trireme
