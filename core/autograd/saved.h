// Tensors that an op keeps for its gradient.

#pragma once

#include <cstddef>
#include <utility>

#include "core/autograd/no_grad.h"
#include "core/tensor/tensor.h"

namespace trireme {

class SavedTensorHooks;

namespace detail {
/// The innermost pack hook of this thread (saved_tensor_hooks.h), or null.
inline constinit thread_local SavedTensorHooks* saved_tensor_hooks = nullptr;
}  // namespace detail

/// A tensor kept for backward with the version it had. Calling it gives the tensor back, with its
/// history; the reference is good while the formula runs. Throws InvalidArgument naming the op if
/// the tensor was changed in place since (with shape and both versions), or was made under
/// InferenceMode.
class Saved {
 public:
  enum class Role : uint8_t { kInput, kOutput };

  // Inlined into every op, as are the two functions below: there it is a few instructions.
  [[gnu::always_inline]] explicit Saved(Tensor tensor, Role role = Role::kInput)
      : tensor_(std::move(tensor)), state_(tensor_.version()) {
    if (role == Role::kOutput) state_ |= kOutput;
    if (tensor_.storage()->is_inference()) [[unlikely]] {
      state_ |= kInference;
    }
    if (detail::saved_tensor_hooks && is_recording()) [[unlikely]] {
      // By value, so that this object's address stays unknown and it is built in registers.
      tensor_ = packed(Tensor(tensor_));
      state_ |= kPacked;
    }
  }
  const Tensor& operator()() const {
    if (state_ >= kOutput || state_ != tensor_.version()) [[unlikely]] {
      return get();
    }
    return tensor_;
  }

 private:
  static Tensor packed(Tensor tensor);
  void check_unpacked() const;
  const Tensor& get() const;

  Tensor tensor_;  // if packed, one without storage whose autograd state is a PackedTensor
  // The version, and flags above it: one word, because a node is built by moving this around.
  uint64_t state_;
  static constexpr uint64_t kOutput = uint64_t{1} << 32;
  static constexpr uint64_t kInference = uint64_t{1} << 33;
  static constexpr uint64_t kPacked = uint64_t{1} << 34;
};

[[gnu::always_inline]] inline Saved save(const Tensor& input) { return Saved(input); }
/// For an op's own result. Saving y itself would make the reference cycle node -> formula -> y ->
/// node; this keeps its elements only, and gives them the running node as history where a formula
/// is recorded.
[[gnu::always_inline]] inline Saved save_output(const Tensor& y) {
  return Saved(y.detach(), Saved::Role::kOutput);
}

namespace detail {
/// What Saved made up for the formula that runs: unpacked tensors, outputs with history. Backward
/// drops what lies beyond `count` when a formula has returned.
inline constinit thread_local size_t num_unpacked = 0;
void forget_unpacked(size_t count);
}  // namespace detail

}  // namespace trireme
