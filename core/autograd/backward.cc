#include "core/autograd/backward.h"

#include <algorithm>

#include "core/autograd/autocast_state.h"
#include "core/autograd/hook_list.h"
#include "core/autograd/no_grad.h"
#include "core/autograd/node.h"
#include "core/autograd/running_node.h"
#include "core/base/trace_range.h"
#include "core/tensor/copy.h"
#include "core/tensor/create.h"

namespace trireme {
namespace {

thread_local int backward_depth = 0;
thread_local const char* running_name = "backward";
thread_local std::vector<std::function<void()>> end_callbacks;
thread_local const std::shared_ptr<HookList<std::function<void(const BackwardStart&)>>>
    start_listeners = std::make_shared<HookList<std::function<void(const BackwardStart&)>>>();

Tensor plus(const Tensor& a, const Tensor& b) {
  Tensor sum = clone_detached(a);
  accumulate_inplace(sum, b);
  return sum;
}

// Adds `dx` to what a node has been given so far. What others can see is never written into.
void add_to(Tensor& sum, Tensor dx) {
  if (!sum.defined()) {
    sum = std::move(dx);
  } else if (sum.is_sole_owner() && sum.is_contiguous()) {
    accumulate_inplace(sum, dx);
  } else {
    sum = plus(sum, dx);
  }
}

bool runs_later(const Node* a, const Node* b) { return a->sequence() < b->sequence(); }

}  // namespace

const char* running_node_name() { return running_name; }

// One call of backward(). The scratch of a pass (dependency count, gradient so far) stands in the
// nodes; a backward inside a backward that meets a node of the outer pass sets the outer's scratch
// aside and puts it back at its end.
class BackwardPass {
 public:
  explicit BackwardPass(bool retain_graph) : retain_graph_(retain_graph) {}
  ~BackwardPass() {
    for (Node* node : visited_) {
      node->pass_ = nullptr;
      node->dy_ = Tensor();
    }
    for (SetAside& s : set_aside_) {
      s.node->pass_ = s.pass;
      s.node->pending_ = s.pending;
      s.node->dy_ = std::move(s.dy);
    }
  }

  // Counts, for each node that root reaches, the edges that point to it. Not part of the
  // constructor: when a node refuses, the destructor must put back those that were entered.
  void count(Node* root) {
    enter(root);
    for (size_t next = 0; next < visited_.size(); ++next) {
      for (const Ref<Node>& edge : visited_[next]->edges()) {
        if (!edge) continue;
        if (edge->pass_ != this) enter(edge.get());
        ++edge->pending_;
      }
    }
  }

  bool reaches(const Node* node) const { return node->pass_ == this; }

  void run(Node* root, Tensor gradient) {
    try {
      run_from(root, std::move(gradient));
    } catch (...) {
      for (Node* node : visited_) {
        if (node->is_leaf()) static_cast<LeafNode*>(node)->withdraw_offer();
      }
      throw;
    }
  }

 private:
  void run_from(Node* root, Tensor gradient) {
    root->dy_ = std::move(gradient);
    ready_.push_back(root);
    while (!ready_.empty()) {
      std::pop_heap(ready_.begin(), ready_.end(), runs_later);
      Node* node = ready_.back();
      ready_.pop_back();
      run_node(node);
    }
  }

  struct SetAside {
    Node* node;
    BackwardPass* pass;
    int pending;
    Tensor dy;
  };

  static void require_unused(const Node& node) {
    require(!node.released_, "backward", "the graph was already run and what ", node.name(),
            " needs for its gradient was freed; pass retain_graph to the first backward");
  }

  void enter(Node* node) {
    require_unused(*node);
    if (node->pass_) {
      set_aside_.push_back({node, node->pass_, node->pending_, std::move(node->dy_)});
    }
    node->pass_ = this;
    node->pending_ = 0;
    visited_.push_back(node);
  }

  void run_node(Node* node) {
    running_name = node->name();
    require_unused(*node);  // a hook may have run this part of the graph since it was counted
    Tensor dy = std::move(node->dy_);
    const std::shared_ptr<NodeHooks> hooks = node->hooks_;
    if (hooks && dy.defined()) run_hooks_before(*node, *hooks, dy);
    if (node->is_leaf()) {
      static_cast<LeafNode*>(node)->accumulate(std::move(dy));
      if (hooks) hooks->post.run([](const auto& hook) { hook(); });
      return;
    }
    const std::span<Ref<Node>> edges = node->edges();
    constexpr size_t kInline = 4;
    Tensor inline_dx[kInline];
    std::vector<Tensor> heap_dx(edges.size() > kInline ? edges.size() : 0);
    Tensor* dx = edges.size() > kInline ? heap_dx.data() : inline_dx;
    if (dy.defined() || node->has_other_gradient()) {
      const TraceRange range(node->name());
      node->apply(dy, dx);
      check_gradients(*node, dx);
    }
    if (hooks) hooks->post.run([](const auto& hook) { hook(); });
    if (!retain_graph_ && !node->saves_nothing()) {
      node->release_saved();
      node->released_ = true;
    }
    dy = Tensor();  // so that a gradient passed on unchanged has one owner again
    for (size_t i = 0; i < edges.size(); ++i) {
      if (edges[i]) deliver(edges[i].get(), std::move(dx[i]));
    }
  }

  void run_hooks_before(const Node& node, NodeHooks& hooks, Tensor& dy) {
    hooks.tensor.run([&](const auto& hook) {
      if (Tensor replaced = hook(dy); replaced.defined()) {
        check_gradient("a tensor hook of", node.name(), replaced, node);
        dy = std::move(replaced);
      }
    });
    if (hooks.retain) hooks.retained = hooks.retained.defined() ? plus(hooks.retained, dy) : dy;
    hooks.pre.run([&](const auto& hook) { hook(dy); });
  }

  void deliver(Node* to, Tensor dx) {
    if (dx.defined()) {
      // A leaf adds each contribution where its gradient is kept, unless a hook wants to see the
      // sum.
      const bool wants_sum = to->hooks_ && !to->hooks_->tensor.empty();
      if (to->is_leaf() && !wants_sum) {
        static_cast<LeafNode*>(to)->accumulate(std::move(dx));
      } else {
        add_to(to->dy_, std::move(dx));
      }
    }
    if (--to->pending_ == 0) {
      ready_.push_back(to);
      std::push_heap(ready_.begin(), ready_.end(), runs_later);
    }
  }

  static void check_gradient(const char* what, const char* op, const Tensor& dx, const Node& to) {
    require(dx.shape() == to.shape() && dx.dtype() == to.dtype() && dx.device() == to.device(),
            "backward", what, " ", op, " gave a gradient ", dx.dtype(), dx.shape(), " on ",
            dx.device(), " for a tensor ", to.dtype(), to.shape(), " on ", to.device());
  }
  static void check_gradients(const Node& node, const Tensor* dx) {
    const std::span<Ref<Node>> edges = node.edges();
    for (size_t i = 0; i < edges.size(); ++i) {
      if (edges[i] && dx[i].defined()) check_gradient("op", node.name(), dx[i], *edges[i]);
    }
  }

  const bool retain_graph_;
  std::vector<Node*> visited_;
  std::vector<Node*> ready_;  // heap, newest op on top; leaves before everything
  std::vector<SetAside> set_aside_;
};

void backward(const Tensor& y, BackwardOptions options) {
  require(y.defined() && y.requires_grad(), "backward",
          "needs a result that depends on a tensor that requires a gradient");
  Tensor gradient = options.gradient.defined() ? options.gradient.detach() : Tensor();
  if (!gradient.defined()) {
    require(y.numel() == 1, "backward", "needs a scalar, got shape ", y.shape(),
            "; pass the output gradient (same shape), or reduce y to a scalar first");
    gradient = ones(y.shape(), {y.dtype(), y.device()});
  }
  require(gradient.shape() == y.shape() && gradient.dtype() == y.dtype() &&
              gradient.device() == y.device(),
          "backward", "the output gradient must be ", y.dtype(), y.shape(), " on ", y.device(),
          ", got ", gradient.dtype(), gradient.shape(), " on ", gradient.device());

  // Restores the thread's state and forgets callbacks of a pass that threw.
  struct Scope {
    const char* name = running_name;
    Scope() { ++backward_depth; }
    ~Scope() {
      running_name = name;
      if (--backward_depth == 0) end_callbacks.clear();
    }
  } scope;
  NoGrad no_grad;
  detail::AutocastPause as_forward_had_them;
  const Ref<Node> root = edge_to(y);
  {
    BackwardPass pass(options.retain_graph);
    pass.count(root.get());
    if (backward_depth == 1 && !start_listeners->empty()) {
      const BackwardStart start{
          [&](const Tensor& leaf) { return pass.reaches(&leaf_node("is_reached", leaf)); }};
      start_listeners->run([&](const auto& listener) { listener(start); });
    }
    pass.run(root.get(), std::move(gradient));
  }
  if (backward_depth == 1) {
    for (size_t i = 0; i < end_callbacks.size(); ++i) {
      const auto callback = std::move(end_callbacks[i]);
      callback();
    }
  }
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
