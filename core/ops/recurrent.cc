#include "core/ops/recurrent.h"

#include "core/ops/as_rows.h"
#include "core/ops/autocast.h"
#include "core/ops/check.h"
#include "core/ops/ids.h"
#include "core/ops/ops.h"
#include "core/ops/recurrent_layer.h"
#include "core/ops/recurrent_sequence.h"
#include "kernels/recurrent_cells.h"

namespace trireme {
namespace {

using detail::LayerOperands;
using detail::LayerStates;

void check_agrees(const char* op, const Tensor& x, const char* name, const Tensor& operand,
                  const Shape& shape) {
  if (!operand) return;
  require(operand.shape() == shape, op, name, " must be ", shape, " for x of ", x.shape(), ", got ",
          operand.shape());
  require(operand.dtype() == x.dtype() && operand.device() == x.device(), op, name,
          " and x must agree, ", name, " is ", operand.dtype(), " on ", operand.device(),
          " but x is ", x.dtype(), " on ", x.device());
}

void check(const char* op, int64_t gates, const Tensor& x, const RecurrentWeights& w,
           const Tensor& h0, const Tensor& c0) {
  detail::check_defined(
      op, {{"x", &x}, {"the input weight", &w.input}, {"the hidden weight", &w.hidden}});
  require(x.rank() == 3, op, "x must be [batch, time, in], got ", x.shape());
  require(x.size(1) >= 1, op, "needs at least one step of time, got x of ", x.shape());
  require(w.hidden.rank() == 2, op, "the hidden weight must be [hidden, gates * hidden], got ",
          w.hidden.shape());
  const int64_t hidden = w.hidden.size(0), width = gates * hidden;
  check_agrees(op, x, "the input weight", w.input, {x.size(2), width});
  check_agrees(op, x, "the hidden weight", w.hidden, {hidden, width});
  require(w.input_bias.defined() == w.hidden_bias.defined(), op,
          "needs both biases or neither, got one");
  check_agrees(op, x, "the input bias", w.input_bias, {width});
  check_agrees(op, x, "the hidden bias", w.hidden_bias, {width});
  check_agrees(op, x, "h0", h0, {x.size(0), hidden});
  check_agrees(op, x, "c0", c0, {x.size(0), hidden});
}

/// The lengths as kernels take them, checked: i64 beside x.
Tensor checked_lengths(const char* op, const Tensor& lengths, const Tensor& x) {
  if (!lengths) return {};
  detail::check_device(op, x, "lengths", lengths);
  require(lengths.shape() == Shape{x.size(0)}, op, "lengths must be [", x.size(0), "] for x of ",
          x.shape(), ", got ", lengths.shape());
  const Tensor packed = dense(lengths);
  require_inside(op, "length", packed, x.size(1) + 1);
  return cast(packed, DType::kI64);
}

/// y with zeros behind the end of each sequence; y is [time, batch, hidden].
Tensor ended(const Tensor& y, const Tensor& lengths) {
  if (!lengths) return y;
  const Tensor time = arange(y.size(0), {DType::kI64, y.device()});
  const Tensor goes_on = greater(unsqueeze(lengths, 0), unsqueeze(time, 1));
  return where(unsqueeze(goes_on, -1), y, zeros({1}, {y.dtype(), y.device()}));
}

/// The layer by our own kernels. Where the gates add up both parts (all cells but gru's), so do the
/// biases.
template <typename Cell>
LayerStates own_layer(const LayerOperands& layer, const Tensor& lengths, TimeOrder order) {
  const auto& [x, w, h0, c0] = layer;
  const int64_t steps = x.size(0), batch = x.size(1), hidden = w.hidden.size(0);
  detail::SequenceOperands in;
  in.lengths = lengths;
  in.backward_in_time = order == TimeOrder::kBackward;
  in.hidden_weight = w.hidden;
  if (!Cell::kOneGradient) in.hidden_bias = w.hidden_bias;
  const Tensor bias =
      w.input_bias && Cell::kOneGradient ? w.input_bias + w.hidden_bias : w.input_bias;
  in.gates = linear(x, w.input, bias);
  const Tensor nothing = zeros({batch, hidden}, {x.dtype(), x.device()});
  in.h0 = h0 ? h0 : nothing;
  if (Cell::kHasC) in.c0 = c0 ? c0 : nothing;
  const Tensor states = detail::recurrent_sequence<Cell>(in);
  const int64_t skip = in.backward_in_time ? 0 : 1, last = in.backward_in_time ? 0 : steps;
  const auto entries = [&](int64_t of, int64_t begin, int64_t end) {
    return slice(squeeze(slice(states, 0, of, of + 1), 0), 0, begin, end);
  };
  LayerStates result;
  result.y = ended(entries(0, skip, skip + steps), lengths);
  result.h = squeeze(entries(0, last, last + 1), 0);
  if (Cell::kHasC) result.c = squeeze(entries(1, last, last + 1), 0);
  return result;
}

/// The layer, with operands of the dtypes that Autocast wants.
template <typename Cell>
LayerStates run_layer(const Tensor& x, const RecurrentWeights& w, const Tensor& h0,
                      const Tensor& c0, const RecurrentOptions& options) {
  check(Cell::kName, Cell::kGates, x, w, h0, c0);
  const Tensor lengths = checked_lengths(Cell::kName, options.lengths, x);
  const LayerOperands in{contiguous(transpose(x, 0, 1)), w, h0, c0};
  std::optional<LayerStates> found;
  if (!x.device().is_cpu() && !lengths) {
    found = detail::recurrent_by_cudnn<Cell>(in, options.order, [&](const LayerOperands& operands) {
      return own_layer<Cell>(operands, {}, options.order);
    });
  }
  LayerStates result = found ? std::move(*found) : own_layer<Cell>(in, lengths, options.order);
  result.y = transpose(result.y, 0, 1);
  return result;
}

/// The operands of a call that Autocast converts, in one place for all three ops.
struct Operands {
  Tensor x, h0, c0;
  RecurrentWeights weights;
};
template <detail::OpName kName>
Operands converted(const Tensor& x, const RecurrentWeights& w, const Tensor& h0, const Tensor& c0) {
  const auto in =
      detail::autocast<kName>(x, w.input, w.hidden, w.input_bias, w.hidden_bias, h0, c0);
  if (!in) return {x, h0, c0, w};
  return {in[0], in[5], in[6], {in[1], in[2], in[3], in[4]}};
}

}  // namespace

LstmResult lstm(const Tensor& x, const RecurrentWeights& weights, const Tensor& h0,
                const Tensor& c0, const RecurrentOptions& options) {
  const Operands in = converted<"lstm">(x, weights, h0, c0);
  auto [y, h, c] = run_layer<kernels::LstmCell>(in.x, in.weights, in.h0, in.c0, options);
  return {std::move(y), std::move(h), std::move(c)};
}

RecurrentResult gru(const Tensor& x, const RecurrentWeights& weights, const Tensor& h0,
                    const RecurrentOptions& options) {
  const Operands in = converted<"gru">(x, weights, h0, {});
  LayerStates s = run_layer<kernels::GruCell>(in.x, in.weights, in.h0, {}, options);
  return {std::move(s.y), std::move(s.h)};
}

RecurrentResult rnn(const Tensor& x, const RecurrentWeights& weights, const Tensor& h0,
                    Nonlinearity nonlinearity, const RecurrentOptions& options) {
  const Operands in = converted<"rnn">(x, weights, h0, {});
  LayerStates s = nonlinearity == Nonlinearity::kRelu
                      ? run_layer<kernels::RnnCell<true>>(in.x, in.weights, in.h0, {}, options)
                      : run_layer<kernels::RnnCell<false>>(in.x, in.weights, in.h0, {}, options);
  return {std::move(s.y), std::move(s.h)};
}

}  // namespace trireme
