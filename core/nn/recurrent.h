// Recurrent networks: layers of the ops of core/ops/recurrent.h, one behind the other.
//
// x is [batch, time, in] and y [batch, time, directions * hidden]; states are [layers * directions,
// batch, hidden], a layer's directions beside each other. Parameters have torch's names
// (weight_ih_l0, weight_hh_l0, bias_ih_l0, .., with _reverse behind for the other direction) and
// the transposes of torch's layouts; they start uniform within 1 / sqrt(hidden), as there.

#pragma once

#include <functional>
#include <vector>

#include "core/nn/layers.h"

namespace trireme {

enum class Directions { kOne, kBoth };

struct RecurrentConfig {
  int64_t in = 0, hidden = 0;
  int64_t layers = 1;
  /// kBoth: a second set of weights reads each sequence from its end, and both results stand beside
  /// each other.
  Directions directions = Directions::kOne;
  double dropout = 0;  // of each layer's result but the last one's
  Bias bias = Bias::kYes;
};

/// The layers' weights, and the walk over them.
class RecurrentLayers : public Module {
 public:
  const RecurrentConfig& config() const { return config_; }
  /// States of one kind: [layers * directions, batch, hidden].
  Shape state_shape(int64_t batch) const;

 protected:
  RecurrentLayers(const RecurrentConfig& config, int64_t gates, Generator& generator,
                  TensorOptions options);

  /// What one direction of one layer makes of x: y and the last states.
  struct Pass {
    Tensor y;
    std::vector<Tensor> states;
  };
  using Layer = std::function<Pass(const Tensor& x, const RecurrentWeights& weights,
                                   const std::vector<Tensor>& first, const RecurrentOptions&)>;
  /// Runs all layers. `first`: the kinds of states, each of state_shape or undefined (zeros). The
  /// last states come back in the same form.
  Pass run(const char* op, const Tensor& x, const std::vector<Tensor>& first, const Tensor& lengths,
           const Layer& layer) const;

 private:
  int64_t directions() const { return config_.directions == Directions::kBoth ? 2 : 1; }

  RecurrentConfig config_;
  std::vector<RecurrentWeights> weights_;  // [layers * directions]
  Dropout dropout_;
};

struct LstmState {
  Tensor h, c;  // undefined: zeros
};

class Lstm : public RecurrentLayers {
 public:
  Lstm(const RecurrentConfig& config, Generator& generator, TensorOptions options = {});
  struct Result {
    Tensor y;
    LstmState state;
  };
  /// lengths: see RecurrentOptions. To carry a state from one piece of a long text to the next
  /// without its history, detach() it.
  Result forward(const Tensor& x, const LstmState& state = {}, const Tensor& lengths = {}) const;
};

class Gru : public RecurrentLayers {
 public:
  Gru(const RecurrentConfig& config, Generator& generator, TensorOptions options = {});
  RecurrentResult forward(const Tensor& x, const Tensor& h0 = {}, const Tensor& lengths = {}) const;
};

class Rnn : public RecurrentLayers {
 public:
  Rnn(const RecurrentConfig& config, Generator& generator,
      Nonlinearity nonlinearity = Nonlinearity::kTanh, TensorOptions options = {});
  RecurrentResult forward(const Tensor& x, const Tensor& h0 = {}, const Tensor& lengths = {}) const;

 private:
  Nonlinearity nonlinearity_;
};

}  // namespace trireme
