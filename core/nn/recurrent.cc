#include "core/nn/recurrent.h"

#include <cmath>

#include "core/base/trace_range.h"
#include "core/nn/init.h"
#include "core/nn/parameter.h"

namespace trireme {
namespace {

/// Behind each other along a new first dimension.
Tensor stacked(const std::vector<Tensor>& parts) {
  std::vector<Tensor> rows;
  for (const Tensor& part : parts) rows.push_back(unsqueeze(part, 0));
  return concat(rows, 0);
}

/// [batch, time, ..] beside each other along the features, kept with time first in memory.
Tensor beside(const std::vector<Tensor>& parts) {
  if (parts.size() == 1) return parts[0];
  std::vector<Tensor> time_first;
  for (const Tensor& part : parts) time_first.push_back(transpose(part, 0, 1));
  return transpose(concat(time_first, -1), 0, 1);
}

}  // namespace

RecurrentLayers::RecurrentLayers(const RecurrentConfig& config, int64_t gates, Generator& generator,
                                 TensorOptions options)
    : config_(config), dropout_(config.dropout, generator) {
  require(config.layers >= 1, "recurrent", "needs at least one layer, got ", config.layers);
  const double bound = 1.0 / std::sqrt(static_cast<double>(config.hidden));
  const auto add = [&](const std::string& name, const Shape& shape) {
    const Tensor weight = detail::parameter(shape, options);
    init::uniform(weight, -bound, bound, generator);
    register_parameter(name, weight);
    return weight;
  };
  const int64_t width = gates * config.hidden;
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    const int64_t in = layer == 0 ? config.in : directions() * config.hidden;
    for (int64_t d = 0; d < directions(); ++d) {
      const std::string suffix = "_l" + std::to_string(layer) + (d == 1 ? "_reverse" : "");
      RecurrentWeights w;
      w.input = add("weight_ih" + suffix, {in, width});
      w.hidden = add("weight_hh" + suffix, {config.hidden, width});
      if (config.bias == Bias::kYes) {
        w.input_bias = add("bias_ih" + suffix, {width});
        w.hidden_bias = add("bias_hh" + suffix, {width});
      }
      weights_.push_back(std::move(w));
    }
  }
  if (config.dropout > 0) register_module("dropout", dropout_);
}

Shape RecurrentLayers::state_shape(int64_t batch) const {
  return {config_.layers * directions(), batch, config_.hidden};
}

RecurrentLayers::Pass RecurrentLayers::run(const char* op, const Tensor& x,
                                           const std::vector<Tensor>& first, const Tensor& lengths,
                                           const Layer& layer) const {
  const TraceRange range(op);
  require(x.defined() && x.rank() == 3, op, "x must be [batch, time, in], got ",
          x.defined() ? x.shape() : Shape());
  for (const Tensor& state : first) {
    require(!state || state.shape() == state_shape(x.size(0)), op, "states must be ",
            state_shape(x.size(0)), " for x of ", x.shape(), ", got ",
            state ? state.shape() : Shape());
  }
  Pass result;
  result.y = x;
  std::vector<std::vector<Tensor>> last(first.size());  // by kind, then by layer and direction
  for (int64_t l = 0; l < config_.layers; ++l) {
    std::vector<Tensor> ys;
    for (int64_t d = 0; d < directions(); ++d) {
      const int64_t at = l * directions() + d;
      std::vector<Tensor> start;
      for (const Tensor& state : first) {
        start.push_back(state ? squeeze(slice(state, 0, at, at + 1), 0) : Tensor());
      }
      Pass pass = layer(result.y, weights_[static_cast<size_t>(at)], start,
                        {lengths, d == 1 ? TimeOrder::kBackward : TimeOrder::kForward});
      ys.push_back(std::move(pass.y));
      for (size_t kind = 0; kind < last.size(); ++kind) last[kind].push_back(pass.states[kind]);
    }
    result.y = beside(ys);
    if (l + 1 < config_.layers) {
      result.y = transpose(dropout_.forward(transpose(result.y, 0, 1)), 0, 1);
    }
  }
  for (const auto& states : last) result.states.push_back(stacked(states));
  return result;
}

Lstm::Lstm(const RecurrentConfig& config, Generator& generator, TensorOptions options)
    : RecurrentLayers(config, 4, generator, options) {}

Lstm::Result Lstm::forward(const Tensor& x, const LstmState& state, const Tensor& lengths) const {
  Pass pass = run("lstm", x, {state.h, state.c}, lengths,
                  [](const Tensor& of, const RecurrentWeights& w, const std::vector<Tensor>& first,
                     const RecurrentOptions& options) {
                    LstmResult r = lstm(of, w, first[0], first[1], options);
                    return Pass{std::move(r.y), {std::move(r.h), std::move(r.c)}};
                  });
  return {std::move(pass.y), {std::move(pass.states[0]), std::move(pass.states[1])}};
}

Gru::Gru(const RecurrentConfig& config, Generator& generator, TensorOptions options)
    : RecurrentLayers(config, 3, generator, options) {}

RecurrentResult Gru::forward(const Tensor& x, const Tensor& h0, const Tensor& lengths) const {
  Pass pass = run("gru", x, {h0}, lengths,
                  [](const Tensor& of, const RecurrentWeights& w, const std::vector<Tensor>& first,
                     const RecurrentOptions& options) {
                    RecurrentResult r = gru(of, w, first[0], options);
                    return Pass{std::move(r.y), {std::move(r.h)}};
                  });
  return {std::move(pass.y), std::move(pass.states[0])};
}

Rnn::Rnn(const RecurrentConfig& config, Generator& generator, Nonlinearity nonlinearity,
         TensorOptions options)
    : RecurrentLayers(config, 1, generator, options), nonlinearity_(nonlinearity) {}

RecurrentResult Rnn::forward(const Tensor& x, const Tensor& h0, const Tensor& lengths) const {
  Pass pass = run("rnn", x, {h0}, lengths,
                  [this](const Tensor& of, const RecurrentWeights& w,
                         const std::vector<Tensor>& first, const RecurrentOptions& options) {
                    RecurrentResult r = rnn(of, w, first[0], nonlinearity_, options);
                    return Pass{std::move(r.y), {std::move(r.h)}};
                  });
  return {std::move(pass.y), std::move(pass.states[0])};
}

}  // namespace trireme
