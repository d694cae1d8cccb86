#include "core/autograd/backward_pass.h"

#include <algorithm>
#include <unordered_map>

#include "core/autograd/anomaly.h"
#include "core/autograd/hook_list.h"
#include "core/autograd/no_grad.h"
#include "core/autograd/once_differentiable.h"
#include "core/autograd/saved.h"
#include "core/autograd/sum_gradients.h"
#include "core/base/log.h"
#include "core/base/trace_range.h"
#include "core/tensor/copy.h"

namespace trireme {
namespace {

thread_local uint64_t num_passes = 0;

bool runs_later(const Node* a, const Node* b) { return a->sequence() < b->sequence(); }

void check_gradient(const char* what, const char* op, const Tensor& dx, const Node& to) {
  require(dx.shape() == to.shape() && dx.dtype() == to.dtype() && dx.device() == to.device(),
          "backward", what, " ", op, " gave a gradient ", dx.dtype(), dx.shape(), " on ",
          dx.device(), " for a tensor ", to.dtype(), to.shape(), " on ", to.device());
}

void check_gradients(const Node& node, const Tensor* dx) {
  const std::span<Ref<Node>> edges = node.edges();
  for (size_t i = 0; i < edges.size(); ++i) {
    if (edges[i] && dx[i].defined()) check_gradient("op", node.name(), dx[i], *edges[i]);
  }
}

/// Those of the nodes that `roots` reach from which a path leads to one of `targets`. Depth first,
/// with a stack of its own: a chain may be long.
std::vector<const Node*> on_paths(std::span<const Ref<Node>> roots,
                                  std::span<Node* const> targets) {
  std::unordered_map<const Node*, bool> wanted;
  for (const Node* target : targets) wanted[target] = true;
  std::unordered_map<const Node*, bool> seen;
  struct Open {
    const Node* node;
    size_t next;
  };
  std::vector<Open> open;
  std::vector<const Node*> result;
  for (const Ref<Node>& root : roots) {
    if (seen.emplace(root.get(), true).second) open.push_back({root.get(), 0});
    while (!open.empty()) {
      auto& [node, next] = open.back();
      if (const auto edges = node->edges(); next < edges.size()) {
        const Node* to = edges[next++].get();
        if (to && seen.emplace(to, true).second) open.push_back({to, 0});
        continue;
      }
      const auto leads = [&](const Ref<Node>& edge) { return edge && wanted.contains(edge.get()); };
      if (std::any_of(node->edges().begin(), node->edges().end(), leads)) wanted[node] = true;
      if (wanted.contains(node)) result.push_back(node);
      open.pop_back();
    }
  }
  std::sort(result.begin(), result.end());
  return result;
}

/// Hooks that are given a gradient of `node` and may return another.
void run_replacing(const char* what, const Node& node,
                   HookList<std::function<Tensor(const Tensor&)>>& hooks, Tensor& dy) {
  hooks.run([&](const auto& hook) {
    if (Tensor replaced = hook(dy); replaced.defined()) {
      check_gradient(what, node.name(), replaced, node);
      dy = std::move(replaced);
    }
  });
}

}  // namespace

BackwardPass::BackwardPass(Mode mode)
    : mode_(mode), outer_(detail::running_pass), unpacked_(detail::num_unpacked) {
  detail::running_pass = {nullptr, !mode.create_graph, ++num_passes, mode.retain_graph};
}

BackwardPass::~BackwardPass() {
  detail::forget_unpacked(unpacked_);
  detail::running_pass = outer_;
  for (Node* node : visited_) {
    node->pass_ = nullptr;
    node->dy_ = Tensor();
    node->capture_ = -1;
    node->runs_ = true;
  }
  for (SetAside& s : set_aside_) {
    s.node->pass_ = s.pass;
    s.node->pending_ = s.pending;
    s.node->capture_ = s.capture;
    s.node->runs_ = s.runs;
    s.node->dy_ = std::move(s.dy);
  }
}

std::vector<bool> BackwardPass::ask_for(std::span<const Ref<Node>> nodes,
                                        std::span<const Ref<Node>> roots) {
  asks_ = true;
  detail::running_pass.fills_leaves = false;
  for (const Ref<Node>& node : nodes) {
    const auto at = std::find(asked_.begin(), asked_.end(), node.get());
    which_.push_back(static_cast<size_t>(at - asked_.begin()));
    if (at == asked_.end()) asked_.push_back(node.get());
  }
  captures_.resize(asked_.size());
  wanted_ = on_paths(roots, asked_);
  std::vector<bool> reached;
  for (const Ref<Node>& node : nodes) {
    reached.push_back(std::binary_search(wanted_.begin(), wanted_.end(), node.get()));
  }
  return reached;
}

/// node->is_leaf() without a virtual call.
inline bool BackwardPass::is_leaf(const Node* node) { return node->sequence_ == Node::kRunsFirst; }

void BackwardPass::count(std::span<const Ref<Node>> roots) {
  if (asks_) return count_wanted(roots);
  for (const Ref<Node>& root : roots) {
    if (!reaches(root.get())) enter(root.get());
    ++root->pending_;  // the gradient that run() is given
  }
  for (size_t next = 0; next < visited_.size(); ++next) {
    require_unused(*visited_[next]);
    for (const Ref<Node>& edge : visited_[next]->edges()) {
      if (!edge) continue;
      if (!reaches(edge.get())) enter(edge.get());
      ++edge->pending_;
    }
  }
}

void BackwardPass::count_wanted(std::span<const Ref<Node>> roots) {
  const auto leads_on = [this](const Node* node) {
    return std::binary_search(wanted_.begin(), wanted_.end(), node);
  };
  for (const Ref<Node>& root : roots) {
    if (!leads_on(root.get())) continue;
    if (!reaches(root.get())) enter(root.get());
    ++root->pending_;
  }
  for (size_t next = 0; next < visited_.size(); ++next) {
    Node* node = visited_[next];
    node->runs_ = false;
    for (const Ref<Node>& edge : node->edges()) {
      if (!edge || !leads_on(edge.get())) continue;
      if (!reaches(edge.get())) enter(edge.get());
      ++edge->pending_;
      node->runs_ = true;
    }
    if (node->runs_) require_unused(*node);
  }
  for (size_t i = 0; i < asked_.size(); ++i) {
    if (reaches(asked_[i])) asked_[i]->capture_ = static_cast<int>(i);
  }
}

void BackwardPass::require_unused(const Node& node) {
  require(!node.released_, "backward", "the graph was already run and what ", node.name(),
          " needs for its gradient was freed; pass retain_graph to the first backward");
}

void BackwardPass::enter(Node* node) {
  if (node->pass_) {
    set_aside_.push_back(
        {node, node->pass_, node->pending_, node->capture_, node->runs_, std::move(node->dy_)});
    node->capture_ = -1;
    node->runs_ = true;
  }
  node->pass_ = this;
  node->pending_ = 0;
  visited_.push_back(node);
}

void BackwardPass::run(std::span<const Ref<Node>> roots, std::span<Tensor> gradients) {
  try {
    for (size_t i = 0; i < roots.size(); ++i) deliver(roots[i].get(), std::move(gradients[i]));
    while (!ready_.empty()) {
      std::pop_heap(ready_.begin(), ready_.end(), runs_later);
      Node* node = ready_.back();
      ready_.pop_back();
      run_node(node);
    }
  } catch (...) {
    for (Node* node : visited_) {
      if (node->is_leaf()) static_cast<LeafNode*>(node)->withdraw_offer();
    }
    throw;
  }
}

// What runs for every node is defined in front of run_node and made part of it.

void BackwardPass::apply_opaque(Node& node, const Tensor& dy, Tensor* dx) const {
  {
    const NoGrad no_grad;
    node.apply(dy.defined() ? dy.detach() : dy, dx);
  }
  for (size_t i = 0; i < node.edges().size(); ++i) {
    if (dx[i].defined()) dx[i] = once_differentiable(node, dy, dx[i]);
  }
}

inline void BackwardPass::apply_formula(Node& node, const Tensor& dy, Tensor* dx) const {
  if (!mode_.create_graph || node.is_differentiable()) [[likely]] {
    node.apply(dy, dx);
  } else {
    apply_opaque(node, dy, dx);
  }
  if (detail::num_unpacked != unpacked_) [[unlikely]] {
    detail::forget_unpacked(unpacked_);
  }
  check_gradients(node, dx);
}

void BackwardPass::apply_watched(Node& node, const Tensor& dy, Tensor* dx) const {
  const auto where = [&] { return describe_forward_call(node, node.existing_hooks()); };
  try {
    apply_formula(node, dy, dx);
  } catch (const std::exception& error) {
    log_error("backward of ", node.name(), " failed: ", error.what(), "\n", where());
    throw;
  }
  for (size_t i = 0; detail::anomaly_mode->checks_nan() && i < node.edges().size(); ++i) {
    if (node.edges()[i] && dx[i].defined() && has_nan(dx[i])) {
      throw Error(concat("backward: ", node.name(), " gave NaN in the gradient of its operand ", i,
                         ", ", dx[i].dtype(), dx[i].shape(), "\n", where()));
    }
  }
}

inline void BackwardPass::apply(Node& node, const Tensor& dy, Tensor* dx) const {
  if (detail::anomaly_mode) [[unlikely]] {
    apply_watched(node, dy, dx);
  } else {
    apply_formula(node, dy, dx);
  }
}

// Adds `dx` to what a node has been given so far. What others can see is never written into.
inline void BackwardPass::add_to(Tensor& sum, Tensor dx) const {
  if (!sum.defined()) {
    sum = std::move(dx);
  } else if (!mode_.create_graph && sum.is_sole_owner() && sum.is_contiguous()) {
    accumulate_inplace(sum, dx);
  } else {
    sum = sum_gradients(sum, dx);
  }
}

inline void BackwardPass::deliver(Node* to, Tensor dx) {
  if (!reaches(to)) return;  // nobody asked for what lies there
  if (dx.defined()) {
    // A leaf adds each contribution where its gradient is kept, unless a hook wants to see the sum.
    const bool wants_sum = to->hooks_ && !to->hooks_->tensor.empty();
    if (is_leaf(to) && detail::running_pass.fills_leaves && !wants_sum) {
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

void BackwardPass::run_node(Node* node) {
  detail::running_pass.node = node;
  Tensor dy = std::move(node->dy_);
  const std::shared_ptr<NodeHooks> hooks = node->hooks_;
  if (hooks && dy.defined()) run_hooks_before(*node, *hooks, dy);
  if (asks_) {
    capture(*node, dy);
    if (!node->runs_) return;
  }
  if (hooks && dy.defined()) run_replacing("a pre hook of", *node, hooks->pre, dy);
  require_unused(*node);  // a hook may have run this part of the graph since it was counted
  if (is_leaf(node)) {
    LeafNode& leaf = static_cast<LeafNode&>(*node);
    mode_.create_graph ? leaf.accumulate_recorded(dy) : leaf.accumulate(std::move(dy));
    if (hooks) hooks->accumulated.run([](const auto& hook) { hook(); });
    return;
  }
  const std::span<Ref<Node>> edges = node->edges();
  constexpr size_t kInline = 4;
  Tensor inline_dx[kInline];
  std::vector<Tensor> heap_dx(edges.size() > kInline ? edges.size() : 0);
  Tensor* dx = edges.size() > kInline ? heap_dx.data() : inline_dx;
  if (dy.defined() || node->has_other_gradient()) {
    const TraceRange range(node->name());
    apply(*node, dy, dx);
  }
  if (hooks && !hooks->post.empty()) run_hooks_after(*node, *hooks, {dx, edges.size()}, dy);
  if (!mode_.retain_graph && !node->saves_nothing()) {
    node->release_saved();
    node->released_ = true;
  }
  dy = Tensor();  // so that a gradient passed on unchanged has one owner again
  for (size_t i = 0; i < edges.size(); ++i) {
    if (edges[i]) deliver(edges[i].get(), std::move(dx[i]));
  }
}

void BackwardPass::capture(const Node& node, const Tensor& dy) {
  if (node.capture_ < 0) return;
  require(!node.has_other_gradient(), "grad", "a result of ", node.name(),
          " was asked for whose gradient is joined with that of another result; ask for the op's "
          "inputs");
  captures_[static_cast<size_t>(node.capture_)] = dy;
}

void BackwardPass::run_hooks_before(const Node& node, NodeHooks& hooks, Tensor& dy) const {
  run_replacing("a tensor hook of", node, hooks.tensor, dy);
  if (hooks.retain && !asks_) {
    hooks.retained = hooks.retained.defined() ? sum_gradients(hooks.retained, dy) : dy;
  }
}

void BackwardPass::run_hooks_after(const Node& node, NodeHooks& hooks, std::span<Tensor> dx,
                                   const Tensor& dy) {
  const std::vector<Tensor> given(dx.begin(), dx.end());
  hooks.post.run([&](const auto& hook) { hook(dx, dy); });
  for (size_t i = 0; i < dx.size(); ++i) {
    Node* const to = node.edges()[i].get();
    if (!to || dx[i].is_same(given[i])) continue;
    if (dx[i].defined()) check_gradient("a post hook of", node.name(), dx[i], *to);
    if (!is_leaf(to)) continue;
    // What the formula may have written into the leaf's own memory counts no more.
    if (dx[i].defined() && given[i].defined() && dx[i].storage() == given[i].storage()) {
      dx[i] = clone_detached(dx[i]);
    }
    static_cast<LeafNode*>(to)->withdraw_offer(given[i]);
  }
}

}  // namespace trireme
