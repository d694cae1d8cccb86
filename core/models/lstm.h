// A language model of stacked LSTM layers, as in Zaremba, Sutskever, Vinyals, "Recurrent neural
// network regularization", 2014: embedding, layers of one width with dropout between them, and a
// linear output layer.

#pragma once

#include <vector>

#include "core/models/sampling.h"
#include "core/nn/recurrent.h"

namespace trireme {

struct LstmConfig {
  int64_t vocab_size = 256;  // token ids are below it
  int64_t layers = 2;
  int64_t dim = 256;  // of embedding and layers
  double dropout = 0;
};

class LstmLanguageModel : public Module {
 public:
  /// Parts start as Embedding, Lstm and Linear do, with forget gates that start open: their biases
  /// add up to 1 (Jozefowicz, Zaremba, Sutskever, "An empirical exploration of recurrent network
  /// architectures", 2015).
  LstmLanguageModel(const LstmConfig& config, Generator& generator, TensorOptions options = {});

  const LstmConfig& config() const { return config_; }

  struct Result {
    Tensor logits;  // [batch, time, vocab_size]
    LstmState state;
  };
  /// ids i64 or i32 [batch, time]. `state` continues an earlier piece of the same texts.
  Result forward(const Tensor& ids, const LstmState& state = {}) const;
  /// Mean cross entropy of the targets, a scalar; every text starts anew.
  Tensor loss(const Tensor& ids, const Tensor& targets) const;

  /// Continues `prompt` by `count` tokens and returns both. Requires a prompt of at least one
  /// token. Records no history; runs in the mode the module is in, so call eval() first. A token
  /// costs one step: the state says what came before.
  std::vector<int64_t> generate(const std::vector<int64_t>& prompt, int64_t count,
                                const Sampling& sampling, Generator& generator) const;

 private:
  LstmConfig config_;
  Embedding embedding_;
  Dropout dropout_;
  Lstm lstm_;
  Linear head_;
};

}  // namespace trireme
