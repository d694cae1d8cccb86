// Hooks: user code that runs during backward. Each registration returns a handle; the hook lives as
// long as the handle, or for ever after handle.keep().
//
// Order for one node: tensor hooks in registration order, then retained gradient, then node
// pre-hooks, the op's formula (or, for a leaf, accumulation), node post-hooks (or the leaf's
// accumulate hooks). All run on the thread that called backward(), with recording off unless it
// creates a graph. A hook that throws ends backward with that error. grad() runs tensor hooks, and
// pre- and post-hooks of nodes whose formula runs; it retains and accumulates nothing. A tensor's
// hooks may not be registered or removed on one thread while another runs backward over it.

#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "core/tensor/tensor.h"

namespace trireme {

/// Removes its hook when destroyed. Movable, may outlive the tensor.
class [[nodiscard]] HookHandle {
 public:
  HookHandle() = default;
  explicit HookHandle(std::function<void()> remove) : remove_(std::move(remove)) {}
  HookHandle(HookHandle&& other) noexcept : remove_(std::exchange(other.remove_, nullptr)) {}
  HookHandle& operator=(HookHandle&& other) noexcept {
    if (this != &other) {
      remove();
      remove_ = std::exchange(other.remove_, nullptr);
    }
    return *this;
  }
  ~HookHandle() { remove(); }

  void remove() {
    if (auto f = std::exchange(remove_, nullptr)) f();
  }
  /// The hook stays for as long as its tensor.
  void keep() { remove_ = nullptr; }

 private:
  std::function<void()> remove_;
};

/// Called with the complete gradient of `x`, which others may see too: not to be written into;
/// returns the gradient to use instead, or an undefined tensor to leave it as it is. Requires
/// x.requires_grad().
HookHandle register_hook(const Tensor& x, std::function<Tensor(const Tensor& dx)> hook);

/// Called exactly once per backward in which `leaf` takes part, after its gradient is complete and
/// accumulated; also when the contribution was zero. Requires a leaf that needs a gradient.
HookHandle register_accumulate_hook(const Tensor& leaf, std::function<void()> hook);

/// Called before the op that made `x` runs its formula, with the gradient it is given; returns the
/// one to use instead, or an undefined tensor to leave it. What is retained as the gradient of `x`
/// stays what it was. Requires a non-leaf.
HookHandle register_pre_hook(const Tensor& x, std::function<Tensor(const Tensor& dy)> hook);
/// Called after the op that made `x` ran its formula, with the gradients of the op's operands,
/// undefined where one needs none or has got its share in another way, and the gradient that the
/// formula was given. Assigning to an element of dx replaces that gradient; an undefined tensor
/// stands for zero. Elements are not to be written into, and may be memory of their leaf's: clone
/// what is to be kept. Requires a non-leaf.
HookHandle register_post_hook(const Tensor& x,
                              std::function<void(std::span<Tensor> dx, const Tensor& dy)> hook);

/// Keeps the gradient of a non-leaf, so that x.grad() returns it after backward. Like that of a
/// leaf it accumulates over several backwards.
void retain_grad(const Tensor& x);

}  // namespace trireme
