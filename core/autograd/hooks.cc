#include "core/autograd/hooks.h"

#include "core/autograd/hook_list.h"
#include "core/autograd/node.h"

namespace trireme {
namespace {

Node& node_of(const char* op, const Tensor& x) {
  require(x.defined(), op, "needs a tensor that requires a gradient, got an undefined one");
  require(x.requires_grad(), op, "needs a tensor that requires a gradient, got ", x.dtype(),
          x.shape(), ", which does not");
  return static_cast<Node&>(*x.autograd_meta());
}

Node& result_node(const char* op, const Tensor& x) {
  Node& node = node_of(op, x);
  require(!node.is_leaf(), op, "needs the result of an op, got a leaf");
  return node;
}

// Adds `fn` to a list of the node's hooks; the handle finds the list again through a weak pointer.
template <typename Fn>
HookHandle add_hook(Node& node, HookList<Fn> NodeHooks::*list, Fn fn) {
  const std::shared_ptr<NodeHooks>& hooks = node.hooks();
  const uint64_t id = ((*hooks).*list).add(std::move(fn));
  return HookHandle([weak = std::weak_ptr<NodeHooks>(hooks), list, id] {
    if (const auto alive = weak.lock()) ((*alive).*list).remove(id);
  });
}

}  // namespace

HookHandle register_hook(const Tensor& x, std::function<Tensor(const Tensor&)> hook) {
  return add_hook(node_of("register_hook", x), &NodeHooks::tensor, std::move(hook));
}

HookHandle register_accumulate_hook(const Tensor& leaf, std::function<void()> hook) {
  return add_hook<std::function<void()>>(leaf_node("register_accumulate_hook", leaf),
                                         &NodeHooks::accumulated, std::move(hook));
}

HookHandle register_pre_hook(const Tensor& x, std::function<Tensor(const Tensor&)> hook) {
  return add_hook(result_node("register_pre_hook", x), &NodeHooks::pre, std::move(hook));
}

HookHandle register_post_hook(const Tensor& x,
                              std::function<void(std::span<Tensor>, const Tensor&)> hook) {
  return add_hook(result_node("register_post_hook", x), &NodeHooks::post, std::move(hook));
}

void retain_grad(const Tensor& x) {
  Node& node = node_of("retain_grad", x);
  if (!node.is_leaf()) node.hooks()->retain = true;
}

}  // namespace trireme
