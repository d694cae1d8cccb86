// A node has one output, a Function several: each result has a node of its own that hands its
// gradient over to the one behind them all, which runs when all have.

#include "core/autograd/function.h"

#include <algorithm>
#include <optional>

#include "core/autograd/edge_list.h"
#include "core/autograd/no_grad.h"
#include "core/autograd/running_node.h"
#include "core/autograd/saved.h"
#include "core/autograd/sum_gradients.h"
#include "core/tensor/create.h"

namespace trireme {
namespace detail {
namespace {

bool contains(const std::vector<Tensor>& list, const Tensor& x) {
  return std::any_of(list.begin(), list.end(), [&](const Tensor& y) { return y.is_same(x); });
}

/// "f32[2, 3]".
std::string kind_of(const Tensor& x) { return concat(x.dtype(), x.shape()); }

/// What a result looks like, for the gradient that nobody gave.
struct Meta {
  Shape shape;
  TensorOptions options;
};

}  // namespace

class FunctionNode final : private EdgeList, public Node {
 public:
  FunctionNode(std::unique_ptr<Function> function, FunctionContext context, const Tensor& result,
               const std::vector<Tensor>& inputs)
      : EdgeList(inputs),
        Node(function->name(), result, list.data(), static_cast<int>(list.size())),
        function_(std::move(function)),
        context_(std::move(context)) {
    context_.node_ = this;
  }

  bool is_differentiable() const override { return function_ && function_->is_differentiable(); }
  bool has_other_gradient() const override { return find() != handed_.end(); }
  void apply(const Tensor& /*dy*/, Tensor* dx) override;
  void release_saved() override {
    function_.reset();
    saved_.clear();
    context_ = {};
  }

  /// dy of result `i`. Several nodes may stand for one result: a saved one gets its own.
  void hand_over(size_t i, const Tensor& dy);

  std::vector<Meta> results;
  /// What the context keeps, and which result it is; kInput: none.
  struct Kept {
    std::optional<Saved> tensor;  // unset: undefined
    size_t result;
  };
  static constexpr size_t kInput = ~size_t{0};
  std::vector<Kept> saved_;

 private:
  /// The gradients of one pass. A pass inside a pass may meet this node half-way.
  struct Handed {
    uint64_t pass;
    std::vector<Tensor> dy;
  };
  std::vector<Handed>::const_iterator find() const {
    return std::find_if(handed_.begin(), handed_.end(),
                        [](const Handed& h) { return h.pass == running_pass.id; });
  }

  std::unique_ptr<Function> function_;
  FunctionContext context_;
  std::vector<Handed> handed_;
};

class ResultNode final : private EdgeList, public Node {
 public:
  ResultNode(const char* op, const Tensor& y, Ref<Node> function, size_t i)
      : EdgeList(std::vector<Ref<Node>>{std::move(function)}), Node(op, y, list.data(), 1), i_(i) {}
  void apply(const Tensor& dy, Tensor* /*dx*/) override {
    static_cast<FunctionNode&>(*list[0]).hand_over(i_, dy);
  }
  bool is_differentiable() const override { return true; }
  void release_saved() override {}
  bool saves_nothing() const override { return true; }

 private:
  size_t i_;
};

void FunctionNode::hand_over(size_t i, const Tensor& dy) {
  if (!has_other_gradient()) {
    handed_.push_back({running_pass.id, std::vector<Tensor>(results.size())});
  }
  Tensor& sum = handed_[static_cast<size_t>(find() - handed_.begin())].dy[i];
  sum = sum.defined() ? sum_gradients(sum, dy) : dy;
}

void FunctionNode::apply(const Tensor& /*dy*/, Tensor* dx) {
  const auto at = find();
  std::vector<Tensor> dy = at->dy;
  handed_.erase(at);
  for (size_t i = 0; context_.materialize_ && i < dy.size(); ++i) {
    if (!dy[i].defined()) dy[i] = zeros(results[i].shape, results[i].options);
  }
  const std::vector<Tensor> gradients = function_->backward(context_, dy);
  require(gradients.size() == list.size(), name(), "backward must give one gradient per input, ",
          list.size(), ", got ", gradients.size());
  for (size_t i = 0; i < gradients.size(); ++i) {
    if (list[i]) dx[i] = gradients[i];
  }
}

/// From forward to results with history.
struct FunctionCall {
  std::unique_ptr<Function> function;
  const std::vector<Tensor>& inputs;
  FunctionContext context;
  std::vector<Tensor> results;

  /// "input 1, f32[2, 3]", of one of them.
  std::string name_of_input(const Tensor& x) const {
    size_t i = 0;
    while (!inputs[i].is_same(x)) ++i;
    return concat("input ", i, ", ", kind_of(x));
  }

  void check(const char* op, bool is_recorded) const {
    require(!results.empty(), op, "forward returned no result");
    for (const Tensor& y : results)
      require(y.defined(), op, "forward returned an undefined tensor");
    for (const Tensor& x : context.dirty_) {
      require(contains(inputs, x), op, "only inputs can be marked dirty, got another tensor, ",
              kind_of(x));
      const std::string input = name_of_input(x);
      require(contains(results, x), op, input, ", is marked dirty and must be returned");
      x.bump_version();
      if (!is_recorded || !is_floating(x.dtype())) continue;
      require(!x.requires_grad() || !x.is_leaf(), op, input,
              ", is a leaf that requires a gradient and cannot be changed in place");
      require(x.storage()->is_sole_owner(), op, input,
              ", shares its memory and cannot be changed in place, because what shares it would "
              "not get its history: it is a view, or has one, or the op that made it keeps it");
    }
  }

  std::vector<Tensor> run() {
    const char* op = function->name();
    for (const Tensor& x : inputs) {
      context.needs_gradient_.push_back(x.defined() && x.requires_grad() && is_recording());
    }
    const auto& needs = context.needs_gradient_;
    const bool is_recorded = std::count(needs.begin(), needs.end(), true) > 0;
    {
      const NoGrad no_grad;
      results = function->forward(context, inputs);
    }
    check(op, is_recorded);
    std::vector<bool> has_history(results.size());
    for (size_t i = 0; i < results.size(); ++i) {
      Tensor& y = results[i];
      const bool is_dirty = contains(context.dirty_, y);
      has_history[i] =
          is_recorded && is_floating(y.dtype()) && !contains(context.non_differentiable_, y);
      if (!is_dirty && (y.requires_grad() || contains(inputs, y))) y = y.detach();
    }
    if (is_recorded) record(op, has_history);
    return std::move(results);
  }

 private:
  void record(const char* op, const std::vector<bool>& has_history) {
    // What the node must not hold: results would make a cycle.
    const std::vector<Tensor> to_save = std::exchange(context.to_save_, {});
    context.non_differentiable_.clear();
    context.dirty_.clear();
    const auto node =
        make_ref<FunctionNode>(std::move(function), std::move(context), results[0], inputs);
    for (const Tensor& y : results) node->results.push_back({y.shape(), {y.dtype(), y.device()}});
    for (const Tensor& x : to_save) {
      const auto at = std::find_if(results.begin(), results.end(),
                                   [&](const Tensor& y) { return x.defined() && y.is_same(x); });
      if (at != results.end()) {
        node->saved_.push_back({Saved(at->detach()), static_cast<size_t>(at - results.begin())});
      } else {
        node->saved_.push_back(
            {x.defined() ? std::optional(Saved(x)) : std::nullopt, FunctionNode::kInput});
      }
    }
    for (size_t i = 0; i < results.size(); ++i) {
      if (!has_history[i]) continue;
      results[i].set_autograd_meta(make_ref<ResultNode>(op, results[i], node, i));
    }
  }
};

}  // namespace detail

std::vector<Tensor> FunctionContext::saved_tensors() const {
  require(node_, "function", "saved_tensors() is for backward");
  std::vector<Tensor> tensors;
  for (const auto& kept : node_->saved_) {
    Tensor x = kept.tensor ? (*kept.tensor)() : Tensor();
    if (kept.result != detail::FunctionNode::kInput && is_recording()) {
      x = x.detach();
      const Ref<Node> function(const_cast<detail::FunctionNode*>(node_));
      x.set_autograd_meta(make_ref<detail::ResultNode>(node_->name(), x, function, kept.result));
    }
    tensors.push_back(std::move(x));
  }
  return tensors;
}

std::vector<Tensor> apply_function(std::unique_ptr<Function> function,
                                   const std::vector<Tensor>& inputs) {
  require(function != nullptr, "apply", "the function is null");
  return detail::FunctionCall{std::move(function), inputs, {}, {}}.run();
}

}  // namespace trireme
