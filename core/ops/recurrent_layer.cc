#include "core/ops/recurrent_layer.h"

#include <algorithm>
#include <array>
#include <type_traits>
#include <vector>

#include "core/autograd/attach.h"
#include "core/autograd/backward.h"
#include "core/autograd/gradient_home.h"
#include "core/autograd/saved_tensor_hooks.h"
#include "core/ops/as_rows.h"
#include "core/ops/ops.h"
#include "core/tensor/create.h"
#include "kernels/recurrent_cells.h"
#include "kernels/recurrent_layer.h"

namespace trireme::detail {
namespace {

using kernels::RecurrentKind;
using kernels::RecurrentPlan;
using LayerShape = kernels::RecurrentLayerShape;

constexpr size_t kInputs = 7;
using Inputs = std::array<const Tensor*, kInputs>;

template <typename Cell>
constexpr RecurrentKind kind_of() {
  if (std::is_same_v<Cell, kernels::LstmCell>) return RecurrentKind::kLstm;
  if (std::is_same_v<Cell, kernels::GruCell>) return RecurrentKind::kGru;
  return std::is_same_v<Cell, kernels::RnnCell<true>> ? RecurrentKind::kRelu : RecurrentKind::kTanh;
}

Inputs inputs_of(const LayerOperands& in) {
  const RecurrentWeights& w = in.weights;
  return {&in.x, &w.input, &w.hidden, &w.input_bias, &w.hidden_bias, &in.h0, &in.c0};
}

/// Dense and aligned to 16 bytes, without history; undefined if x is.
Tensor fitting(const Tensor& x) {
  if (!x) return {};
  const Tensor packed = dense(x).detach();
  const bool is_aligned = reinterpret_cast<uintptr_t>(packed.raw_data()) % 16 == 0;
  return is_aligned ? packed : clone_detached(packed);
}

template <typename T>
T* data_of(const Tensor& x) {
  return x ? x.data<std::remove_const_t<T>>() : nullptr;
}

/// Where y, h and c begin in the op's result, in elements: one tensor, since a node has one result.
/// Each is aligned.
struct Parts {
  explicit Parts(const LayerShape& s) : y(s.steps * s.batch * s.hidden), state(s.batch * s.hidden) {
    h = aligned(y);
    c = h + aligned(state);
    total = c + (s.kind == RecurrentKind::kLstm ? state : 0);
  }
  static int64_t aligned(int64_t count) { return (count + 15) / 16 * 16; }

  int64_t y, state;  // elements
  int64_t h, c, total;
};

template <typename T>
kernels::RecurrentLayerWeights<T*> weights_of(const std::array<Tensor, kInputs>& all) {
  return {data_of<T>(all[1]), data_of<T>(all[2]), data_of<T>(all[3]), data_of<T>(all[4])};
}

/// What backward needs.
struct Kept {
  Kept(const LayerShape& shape_, const RecurrentPlan& plan_, const Inputs& inputs,
       const Tensor& result, const Tensor& reserve_)
      : shape(shape_), plan(plan_), states(save_output(result)), reserve(save(reserve_)) {
    for (size_t i = 0; i < kInputs; ++i) {
      if (inputs[i]->defined()) operands[i].emplace(*inputs[i]);
      home[i] = GradientHome(*inputs[i]);
    }
  }
  LayerShape shape;
  RecurrentPlan plan;
  Saved states, reserve;
  std::array<std::optional<Saved>, kInputs> operands;
  std::array<GradientHome, kInputs> home;
};

template <typename T>
std::array<Tensor, kInputs> gradients(const Kept& kept, const Tensor& dresult,
                                      const std::array<bool, kInputs>& need) {
  const Parts at(kept.shape);
  std::array<Tensor, kInputs> in, d;
  for (size_t i = 0; i < kInputs; ++i) {
    if (kept.operands[i]) in[i] = fitting((*kept.operands[i])());
    if (!need[i] && i > 0) continue;  // that of x is computed in any case
    d[i] = kept.home[i].empty(in[i].shape(), {in[i].dtype(), in[i].device()});
  }
  const Tensor given = fitting(dresult), states = fitting(kept.states());
  const T *y = data_of<const T>(states), *dy = data_of<const T>(given);
  const bool has_c = kept.shape.kind == RecurrentKind::kLstm;
  kernels::recurrent_layer_gradient<T>(
      current_cuda(in[0].device().index), kept.plan,
      {kept.shape, in[0].data<T>(), weights_of<const T>(in), data_of<const T>(in[5]),
       data_of<const T>(in[6]), y, dy, dy + at.h, has_c ? dy + at.c : nullptr, d[0].data<T>(),
       data_of<T>(d[5]), data_of<T>(d[6]), weights_of<T>(d)},
      kept.reserve().raw_data());
  return d;
}

/// The op, forward in time.
template <typename Cell, typename T>
LayerStates run(const LayerOperands& operands, const LayerShape& shape, const RecurrentPlan& plan) {
  const Inputs inputs = inputs_of(operands);
  const Parts at(shape);
  const Device device = operands.x.device();
  std::array<Tensor, kInputs> in;
  for (size_t i = 0; i < kInputs; ++i) in[i] = fitting(*inputs[i]);
  Tensor result = empty({at.total}, {operands.x.dtype(), device});
  const Tensor reserve = empty({plan.reserve_bytes}, {DType::kU8, device});
  T* const y = result.data<T>();
  kernels::recurrent_layer<T>(
      current_cuda(device.index), plan,
      {shape, in[0].data<T>(), weights_of<const T>(in), data_of<const T>(in[5]),
       data_of<const T>(in[6]), y, y + at.h, Cell::kHasC ? y + at.c : nullptr},
      reserve.raw_data());
  if (shape.trains) {
    Kept kept(shape, plan, inputs, result, reserve);
    result = attach_joint<kInputs>(
        Cell::kName, std::move(result), inputs,
        [kept = std::move(kept)](const Tensor& dy, const std::array<bool, kInputs>& need) {
          return gradients<T>(kept, dy, need);
        });
  }
  const auto part = [&](int64_t first, const Shape& of) {
    return reshape(slice(result, 0, first, first + of.product()), of);
  };
  LayerStates states;
  states.y = part(0, {shape.steps, shape.batch, shape.hidden});
  states.h = part(at.h, {shape.batch, shape.hidden});
  if (Cell::kHasC) states.c = part(at.c, {shape.batch, shape.hidden});
  return states;
}

template <typename Cell, typename T>
LayerStates run_in_order(LayerOperands in, TimeOrder order, const LayerShape& shape,
                         const RecurrentPlan& plan) {
  if (order == TimeOrder::kForward) return run<Cell, T>(in, shape, plan);
  in.x = flip(in.x, {0});
  LayerStates states = run<Cell, T>(in, shape, plan);
  states.y = flip(states.y, {0});
  return states;
}

/// The layer and, if it trains, its gradients, on operands that nobody else sees.
[[maybe_unused]] void try_out(const LayerOperands& in, bool trains,
                              const std::function<LayerStates(const LayerOperands&)>& layer) {
  const NoSavedTensorHooks no_hooks;
  std::vector<Tensor> wanted;
  const auto apart = [&](const Tensor& x) {
    if (!x) return x;
    Tensor alone = x.detach();
    if (trains && x.requires_grad()) wanted.push_back(alone.set_requires_grad());
    return alone;
  };
  const RecurrentWeights& w = in.weights;
  LayerOperands alone{apart(in.x),
                      {apart(w.input), apart(w.hidden), apart(w.input_bias), apart(w.hidden_bias)},
                      apart(in.h0),
                      apart(in.c0)};
  const LayerStates states = layer(alone);
  if (trains) grad({states.y}, wanted, {.output_gradients = {states.y.detach()}});
}

}  // namespace

template <typename Cell>
std::optional<LayerStates> recurrent_by_cudnn(
    const LayerOperands& in, TimeOrder order,
    const std::function<LayerStates(const LayerOperands&)>& own) {
  if constexpr (kHasCuda) {
    const int64_t hidden = in.weights.hidden.size(0);
    LayerShape shape{kind_of<Cell>(),
                     in.x.size(0),
                     in.x.size(1),
                     in.x.size(2),
                     hidden,
                     bool(in.weights.input_bias),
                     false};
    for (const Tensor* x : inputs_of(in)) {
      shape.trains = shape.trains || (is_recording() && *x && x->requires_grad());
    }
    constexpr int64_t kMost = int64_t{1} << 30;  // cuDNN counts in 32 bits
    if (std::min({shape.batch, shape.in, hidden}) == 0 || in.x.shape().product() > kMost ||
        shape.steps * shape.batch * hidden > kMost) {
      return std::nullopt;
    }
    return dispatch_floating(
        Cell::kName, in.x.dtype(), [&](auto tag) -> std::optional<LayerStates> {
          using T = typename decltype(tag)::type;
          const auto plan = kernels::choose_recurrent_plan<T>(
              current_cuda(in.x.device().index), shape, [&] { try_out(in, shape.trains, own); },
              [&](const RecurrentPlan& tried) {
                try_out(in, shape.trains, [&](const LayerOperands& operands) {
                  return run_in_order<Cell, T>(operands, order, shape, tried);
                });
              });
          if (!plan) return std::nullopt;
          return run_in_order<Cell, T>(in, order, shape, *plan);
        });
  }
  return std::nullopt;
}

#define TRIREME_INSTANTIATE(Cell)                                        \
  template std::optional<LayerStates> recurrent_by_cudnn<kernels::Cell>( \
      const LayerOperands&, TimeOrder, const std::function<LayerStates(const LayerOperands&)>&);
TRIREME_RECURRENT_CELLS(TRIREME_INSTANTIATE)

}  // namespace trireme::detail
