#include "core/autograd/saved.h"

#include <deque>

#include "core/autograd/node.h"
#include "core/autograd/running_node.h"
#include "core/autograd/saved_tensor_hooks.h"

namespace trireme {

/// A tensor that a pack hook has taken away.
class PackedTensor final : public AutogradMeta {
 public:
  const char* name() const override { return "packed"; }
  bool is_leaf() const override { return true; }
  Tensor grad() const override { return {}; }
  void zero_grad() override {}

  SavedTensorHooks::Unpack unpack;
  Shape shape;
  DType dtype = DType::kF32;
  Device device;
  Ref<AutogradMeta> history;         // of an input
  const Tensor* unpacked = nullptr;  // while the formula that asked for it runs

  Tensor unpack_checked() const {
    const NoGrad no_grad;
    const detail::NoSavedTensorHooks no_hooks;
    Tensor x = unpack();
    require(x.defined() && x.shape() == shape && x.dtype() == dtype && x.device() == device,
            running_node_name(), "a saved tensor hook must give back ", dtype, shape, " on ",
            device, ", got ",
            x.defined() ? concat(x.dtype(), x.shape(), " on ", x.device()) : "an undefined tensor");
    return x;
  }
};

namespace {

struct Unpacked {
  Tensor tensor;
  Ref<PackedTensor> owner;  // null for an output that was given its history
};
thread_local std::deque<Unpacked> unpacked_now;  // references into it stay good

Tensor with_history(const Tensor& x, Ref<AutogradMeta> history) {
  Tensor result = x.detach();
  result.set_autograd_meta(std::move(history));
  return result;
}

}  // namespace

Tensor Saved::packed(Tensor tensor) {
  const SavedTensorHooks& hooks = *detail::saved_tensor_hooks;
  const uint32_t version = tensor.version();
  auto packed = make_ref<PackedTensor>();
  packed->shape = tensor.shape();
  packed->dtype = tensor.dtype();
  packed->device = tensor.device();
  packed->history = tensor.autograd_meta();
  {
    const NoGrad no_grad;
    const detail::NoSavedTensorHooks no_hooks;
    packed->unpack = hooks.pack(tensor.detach());
  }
  require(tensor.version() == version, "saved_tensor_hooks", "a tensor of shape ", tensor.shape(),
          " was changed in place while it was packed; change a clone");
  require(packed->unpack != nullptr, "saved_tensor_hooks", "the pack hook returned no function");
  Tensor handle(Ref<Storage>(), 0, packed->shape, packed->shape, packed->dtype);
  handle.set_autograd_meta(std::move(packed));
  return handle;
}

void Saved::check_unpacked() const {
  require((state_ & kInference) == 0, running_node_name(), "a tensor of shape ", tensor_.shape(),
          " that was made under InferenceMode cannot be saved for backward; use a clone made "
          "outside of it");
  const auto version = static_cast<uint32_t>(state_);
  if (tensor_.version() == version) return;
  fail(running_node_name(), "a tensor of shape ", tensor_.shape(),
       " saved for backward was changed in place: it had version ", version, " but now has ",
       tensor_.version(), "; change a clone, or do it after backward");
}

const Tensor& Saved::get() const {
  const bool record = is_recording(), is_output = (state_ & kOutput) != 0;
  auto* packed =
      (state_ & kPacked) != 0 ? static_cast<PackedTensor*>(tensor_.autograd_meta().get()) : nullptr;
  if (!packed) {
    check_unpacked();
    if (!is_output || !record) return tensor_;
  } else if (packed->unpacked) {
    return *packed->unpacked;
  }
  Tensor x = packed ? packed->unpack_checked() : tensor_;
  if (record && is_output) {
    x = with_history(x, Ref<Node>(detail::running_pass.node));
  } else if (record && packed->history) {
    x = with_history(x, packed->history);
  }
  unpacked_now.push_back({std::move(x), Ref<PackedTensor>(packed)});
  ++detail::num_unpacked;
  const Tensor& kept = unpacked_now.back().tensor;
  if (packed) packed->unpacked = &kept;
  return kept;
}

SavedTensorHooks::SavedTensorHooks(Pack pack)
    : pack_(std::move(pack)), outer_(detail::saved_tensor_hooks) {
  detail::saved_tensor_hooks = this;
}
SavedTensorHooks::~SavedTensorHooks() { detail::saved_tensor_hooks = outer_; }

namespace detail {

NoSavedTensorHooks::NoSavedTensorHooks() : outer_(saved_tensor_hooks) {
  saved_tensor_hooks = nullptr;
}
NoSavedTensorHooks::~NoSavedTensorHooks() { saved_tensor_hooks = outer_; }

void forget_unpacked(size_t count) {
  while (unpacked_now.size() > count) {
    if (unpacked_now.back().owner) unpacked_now.back().owner->unpacked = nullptr;
    unpacked_now.pop_back();
  }
  num_unpacked = unpacked_now.size();
}

}  // namespace detail
}  // namespace trireme
