// How an op tells autograd its gradient: forward and formula stand together.
//
//   Tensor scale_rows(const Tensor& x, const Tensor& w) {
//     Tensor y = ...;
//     return attach("scale_rows", y,
//                   wrt(x, [w = save(w)](const Tensor& dy) { return dy * w(); }),
//                   wrt(w, [x = save(x)](const Tensor& dy) { return sum(dy * x(), 0); }));
//   }
//
// Laws of formulas:
// 1. A formula keeps tensors through save(input), or save_output(y) for the op's own result: saving
//    y itself would make the reference cycle node -> formula -> y -> node.
// 2. Formulas run with recording off: first-order gradients. If a formula is composed of
//    differentiable ops, the op's name is given as differentiable("scale_rows"); backward with
//    create_graph then runs it with recording on. Where the fast formula calls a kernel, it asks
//    is_recording() and computes the same from ops. Any other op's gradient has no history, and a
//    second backward that reaches it is refused with the op's name.
// 3. A formula returns a gradient of exactly its input's shape and dtype, or an undefined Tensor,
//    which stands for zero; backward checks it and names the op. sum_to(dy, x.shape()) undoes
//    broadcasting. It may return dy itself, but must not write into dy: others may see it.
// 4. Leaves accumulate, everything else is overwritten.
//
// An input that needs no gradient drops its formula at once, and with it whatever it saved.

#pragma once

#include <array>
#include <initializer_list>
#include <optional>
#include <tuple>
#include <type_traits>

#include "core/autograd/no_grad.h"
#include "core/autograd/node.h"
#include "core/autograd/saved.h"

namespace trireme {

/// The name of an op whose formulas are composed of differentiable ops.
struct Differentiable {
  const char* op;
};
constexpr Differentiable differentiable(const char* op) { return {op}; }

/// An input of an op and the formula dy -> gradient of that input.
template <typename Formula>
struct Wrt {
  const Tensor& input;
  Formula formula;
};
template <typename Formula>
Wrt<Formula> wrt(const Tensor& input, Formula formula) {
  return {input, std::move(formula)};
}

namespace detail {

constexpr const char* name_of_op(const char* op) { return op; }
constexpr const char* name_of_op(Differentiable op) { return op.op; }

/// Op is the type that the op's name was given in.
template <typename Op, typename... Formulas>
class FormulaNode final : public Node {
 public:
  FormulaNode(const char* op, const Tensor& y, Wrt<Formulas>&... inputs)
      : Node(op, y, edges_.data(), sizeof...(Formulas)) {
    init(std::index_sequence_for<Formulas...>{}, inputs...);
  }

  void apply(const Tensor& dy, Tensor* dx) override {
    run(std::index_sequence_for<Formulas...>{}, dy, dx);
  }
  bool is_differentiable() const override { return std::is_same_v<Op, Differentiable>; }
  void release_saved() override {
    std::apply([](auto&... formula) { (formula.reset(), ...); }, formulas_);
  }

 private:
  template <size_t... I>
  void init(std::index_sequence<I...>, Wrt<Formulas>&... inputs) {
    (init_one<I>(inputs), ...);
  }
  template <size_t I, typename Formula>
  void init_one(Wrt<Formula>& w) {
    if (!w.input.requires_grad()) return;
    edges_[I] = edge_to(w.input);
    std::get<I>(formulas_).emplace(std::move(w.formula));
  }
  template <size_t... I>
  void run(std::index_sequence<I...>, const Tensor& dy, Tensor* dx) {
    ((edges_[I] ? void(dx[I] = (*std::get<I>(formulas_))(dy)) : void()), ...);
  }

  std::array<Ref<Node>, sizeof...(Formulas)> edges_;
  std::tuple<std::optional<Formulas>...> formulas_;
};

template <typename Op, size_t N, typename Formula>
class JointNode final : public Node {
 public:
  JointNode(const char* op, const Tensor& y, const std::array<const Tensor*, N>& inputs,
            Formula&& formula)
      : Node(op, y, edges_.data(), N), formula_(std::move(formula)) {
    for (size_t i = 0; i < N; ++i) {
      if (inputs[i]->defined() && inputs[i]->requires_grad()) edges_[i] = edge_to(*inputs[i]);
    }
  }
  void apply(const Tensor& dy, Tensor* dx) override {
    std::array<bool, N> need;
    for (size_t i = 0; i < N; ++i) need[i] = static_cast<bool>(edges_[i]);
    std::array<Tensor, N> grads = (*formula_)(dy, need);
    for (size_t i = 0; i < N; ++i) {
      if (need[i]) dx[i] = std::move(grads[i]);
    }
  }
  bool is_differentiable() const override { return std::is_same_v<Op, Differentiable>; }
  void release_saved() override { formula_.reset(); }

 private:
  std::array<Ref<Node>, N> edges_;
  std::optional<Formula> formula_;
};

}  // namespace detail

/// Gives y its history: one formula per input. Returns y. `op` is a name, a string literal, or
/// differentiable(name). Nothing is recorded when no input needs a
/// gradient or recording is off. y must be fresh: not an input, and without history.
template <typename Op, typename... Formulas>
Tensor attach(Op op, Tensor y, Wrt<Formulas>... inputs) {
  if (is_recording() && (inputs.input.requires_grad() || ...)) {
    y.set_autograd_meta(
        make_ref<detail::FormulaNode<Op, Formulas...>>(detail::name_of_op(op), y, inputs...));
  }
  return y;
}

/// For kernels that yield several gradients at once: formula(dy, need) returns
/// std::array<Tensor, N>, where need[i] says whether input i wants one. Undefined inputs (an absent
/// bias) need none.
///   attach_joint<3>("layer_norm", y, {&x, &gamma, &beta},
///                   [...](const Tensor& dy, const std::array<bool, 3>& need) { ... });
template <size_t N, typename Op, typename Formula>
Tensor attach_joint(Op op, Tensor y, const std::array<const Tensor*, N>& inputs, Formula formula) {
  bool any = false;
  for (const Tensor* x : inputs) any = any || (x->defined() && x->requires_grad());
  if (any && is_recording()) {
    y.set_autograd_meta(make_ref<detail::JointNode<Op, N, Formula>>(detail::name_of_op(op), y,
                                                                    inputs, std::move(formula)));
  }
  return y;
}

}  // namespace trireme
