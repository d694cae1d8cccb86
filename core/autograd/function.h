// Function: an op of your own, with a gradient of your own.
//
//   /// y = min(exp(x), limit), and how many elements met the limit.
//   class CappedExp final : public Function {
//    public:
//     explicit CappedExp(double limit) : limit_(limit) {}  // what is no tensor is a member
//     const char* name() const override { return "capped_exp"; }
//
//     std::vector<Tensor> forward(FunctionContext& ctx, const std::vector<Tensor>& in) override {
//       const Tensor y = clamp(exp(in[0]), 0, limit_);  // recording is off here
//       const Tensor capped = equal(y, full({}, limit_, {y.dtype(), y.device()}));
//       const Tensor count = sum(capped);
//       ctx.save_for_backward({y, capped});
//       ctx.mark_non_differentiable({count});
//       return {y, count};
//     }
//
//     std::vector<Tensor> backward(FunctionContext& ctx, const std::vector<Tensor>& dy) override {
//       const std::vector<Tensor> saved = ctx.saved_tensors();
//       return {where(saved[1], zeros_like(dy[0]), dy[0] * saved[0])};
//     }
//
//    private:
//     double limit_;
//   };
//
//   const std::vector<Tensor> y = apply_function<CappedExp>({x}, 5.0);
//   backward(sum(y[0]));  // x.grad() == {e, 0}, y[1] == 1
//
// (Run by tests/autograd/doc_snippets_test.cc.) One Function object serves one call: members
// set in forward are there in backward. backward runs with recording on under create_graph and can
// then be differentiated itself, unless is_differentiable() says otherwise. forward runs on the
// thread that calls apply_function, backward on the one that calls backward(): each once at a time
// for one object, but objects of one class may run on several threads at a time.

#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "core/tensor/tensor.h"

namespace trireme {

namespace detail {
class FunctionNode;
struct FunctionCall;
}  // namespace detail

/// What a Function tells autograd about one call.
class FunctionContext {
 public:
  // In forward:

  /// Keeps inputs, results, or anything else; an undefined tensor stays one. Version checks and
  /// pack hooks apply. What backward needs must be kept here, or it is never freed.
  void save_for_backward(std::vector<Tensor> tensors) { to_save_ = std::move(tensors); }
  /// Results that need no gradient; those of integer dtype never do.
  void mark_non_differentiable(std::vector<Tensor> results) {
    non_differentiable_ = std::move(results);
  }
  /// Inputs that forward has changed in place. Each must be returned; from then on it is a result
  /// of this op for all who hold it. A leaf that needs a gradient refuses, and so does a tensor
  /// that shares its memory where the result has a history: a view, or kept by the op that made it.
  void mark_dirty(std::vector<Tensor> inputs) { dirty_ = std::move(inputs); }
  /// false: backward sees an undefined tensor where a result had no gradient, instead of zeros.
  void set_materialize_gradients(bool value) { materialize_ = value; }

  // In forward and backward:

  /// Whether the gradient of input i is wanted; an unwanted one may be returned undefined.
  bool needs_gradient(size_t i) const { return needs_gradient_[i]; }

  // In backward:

  /// In the order of save_for_backward, with their history while recording.
  std::vector<Tensor> saved_tensors() const;

 private:
  friend class detail::FunctionNode;
  friend struct detail::FunctionCall;
  std::vector<Tensor> to_save_, non_differentiable_, dirty_;
  std::vector<bool> needs_gradient_;
  bool materialize_ = true;
  const detail::FunctionNode* node_ = nullptr;
};

class Function {
 public:
  virtual ~Function() = default;
  /// A string literal; errors and printed graphs show it.
  virtual const char* name() const = 0;
  /// The results, at least one, all defined. Runs with recording off. An input that is returned as
  /// it is, and is not marked dirty, comes out as a view.
  virtual std::vector<Tensor> forward(FunctionContext& ctx, const std::vector<Tensor>& inputs) = 0;
  /// One gradient per input, with its shape and dtype; undefined stands for zero. dy has one
  /// gradient per result. Called once per backward that reaches a result.
  virtual std::vector<Tensor> backward(FunctionContext& ctx, const std::vector<Tensor>& dy) = 0;
  /// Whether backward is composed of differentiable ops.
  virtual bool is_differentiable() const { return true; }
};

/// Runs function->forward(inputs) and gives its results their history. Undefined inputs are passed
/// on.
std::vector<Tensor> apply_function(std::unique_ptr<Function> function,
                                   const std::vector<Tensor>& inputs);

/// The same for a new F, made of what is no tensor.
template <typename F, typename... Args>
std::vector<Tensor> apply_function(const std::vector<Tensor>& inputs, Args&&... args) {
  return apply_function(std::make_unique<F>(std::forward<Args>(args)...), inputs);
}

}  // namespace trireme
