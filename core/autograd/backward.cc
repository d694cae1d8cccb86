#include "core/autograd/backward.h"

#include "core/autograd/autocast_state.h"
#include "core/autograd/backward_pass.h"
#include "core/autograd/hook_list.h"
#include "core/autograd/no_grad.h"
#include "core/tensor/create.h"

namespace trireme {
namespace {

thread_local int backward_depth = 0;
thread_local std::vector<std::function<void()>> end_callbacks;
thread_local const std::shared_ptr<HookList<std::function<void(const BackwardStart&)>>>
    start_listeners = std::make_shared<HookList<std::function<void(const BackwardStart&)>>>();

/// A call of backward() or grad() on this thread. Forgets the callbacks of one that threw.
class Call {
 public:
  explicit Call(bool create_graph) : recording_(create_graph) { ++backward_depth; }
  ~Call() {
    if (--backward_depth == 0) end_callbacks.clear();
  }
  Call(const Call&) = delete;

  bool is_outermost() const { return backward_depth == 1; }
  /// What stands at the end of a call that succeeded.
  void run_callbacks() const {
    if (!is_outermost()) return;
    for (size_t i = 0; i < end_callbacks.size(); ++i) {
      const auto callback = std::move(end_callbacks[i]);
      callback();
    }
  }

 private:
  struct Recording : detail::RecordingGuard {
    using RecordingGuard::RecordingGuard;
  } recording_;
  detail::AutocastPause as_forward_had_them_;
};

/// The gradient that y is given, checked.
Tensor output_gradient(const char* op, const Tensor& y, const Tensor& given, bool keep_history) {
  require(y.defined() && y.requires_grad(), op,
          "needs a result that depends on a tensor that requires a gradient");
  if (!given.defined()) {
    require(y.numel() == 1, op, "needs a scalar, got shape ", y.shape(),
            "; pass the output gradient (same shape), or reduce y to a scalar first");
    return ones(y.shape(), {y.dtype(), y.device()});
  }
  require(given.shape() == y.shape() && given.dtype() == y.dtype() && given.device() == y.device(),
          op, "the output gradient must be ", y.dtype(), y.shape(), " on ", y.device(), ", got ",
          given.dtype(), given.shape(), " on ", given.device());
  return keep_history ? given : given.detach();
}

}  // namespace

void backward(const Tensor& y, BackwardOptions options) {
  Tensor gradient = output_gradient("backward", y, options.gradient, options.create_graph);
  const Call call(options.create_graph);
  const Ref<Node> root = edge_to(y);
  {
    BackwardPass pass({options.retain_graph || options.create_graph, options.create_graph});
    pass.count({&root, 1});
    if (call.is_outermost() && !start_listeners->empty()) {
      const BackwardStart start{
          [&](const Tensor& leaf) { return pass.reaches(&leaf_node("is_reached", leaf)); }};
      start_listeners->run([&](const auto& listener) { listener(start); });
    }
    pass.run({&root, 1}, {&gradient, 1});
  }
  call.run_callbacks();
}

std::vector<Tensor> grad(const std::vector<Tensor>& outputs, const std::vector<Tensor>& inputs,
                         GradOptions options) {
  const std::vector<Tensor>& given = options.output_gradients;
  require(!outputs.empty() && !inputs.empty(), "grad", "needs outputs and inputs, got ",
          outputs.size(), " and ", inputs.size());
  require(given.empty() || given.size() == outputs.size(), "grad",
          "needs one output gradient for "
          "each of ",
          outputs.size(), " outputs, or none, got ", given.size());
  std::vector<Tensor> gradients;
  std::vector<Ref<Node>> roots, nodes;
  for (size_t i = 0; i < outputs.size(); ++i) {
    gradients.push_back(output_gradient("grad", outputs[i], given.empty() ? Tensor() : given[i],
                                        options.create_graph));
    roots.push_back(edge_to(outputs[i]));
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    require(inputs[i].defined() && inputs[i].requires_grad(), "grad", "input ", i,
            " does not require a gradient");
    nodes.push_back(edge_to(inputs[i]));
  }
  const Call call(options.create_graph);
  std::vector<Tensor> result;
  {
    BackwardPass pass({options.retain_graph || options.create_graph, options.create_graph});
    const std::vector<bool> reached = pass.ask_for(nodes, roots);
    for (size_t i = 0; i < inputs.size(); ++i) {
      require(reached[i] || options.allow_unused, "grad", "input ", i, ", ", inputs[i].dtype(),
              inputs[i].shape(),
              ", is not used by the outputs; allow_unused gives it an undefined "
              "gradient");
    }
    pass.count(roots);
    pass.run(roots, gradients);
    for (size_t i = 0; i < inputs.size(); ++i) {
      result.push_back(pass.captured(i));
      if (reached[i] && !result[i].defined()) result[i] = zeros_like(inputs[i]);
    }
  }
  call.run_callbacks();
  return result;
}

HookHandle register_backward_start(std::function<void(const BackwardStart&)> listener) {
  const uint64_t id = start_listeners->add(std::move(listener));
  return HookHandle([weak = std::weak_ptr(start_listeners), id] {
    if (const auto alive = weak.lock()) alive->remove(id);
  });
}

void queue_backward_callback(std::function<void()> callback) {
  require(in_backward(), "queue_backward_callback", "no backward is running on this thread");
  end_callbacks.push_back(std::move(callback));
}

bool in_backward() { return backward_depth > 0; }

}  // namespace trireme
