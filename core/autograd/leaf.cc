// Leaves: where gradients accumulate.

#include "core/autograd/gradient_slot.h"
#include "core/autograd/hook_list.h"
#include "core/autograd/node.h"
#include "core/autograd/running_node.h"
#include "core/autograd/sum_gradients.h"
#include "core/tensor/allocator.h"
#include "core/tensor/copy.h"

namespace trireme {

Tensor& Tensor::set_requires_grad(bool value) {
  require(defined(), "set_requires_grad", "tensor is undefined");
  require(is_leaf(), "set_requires_grad", "the result of ", impl_->meta ? impl_->meta->name() : "",
          " is not a leaf; use detach() first");
  if (!value) {
    set_autograd_meta(nullptr);
  } else if (!impl_->meta) {
    require(is_floating(dtype()), "set_requires_grad", "needs a floating-point dtype, got ",
            dtype());
    require(!impl_->storage->is_inference(), "set_requires_grad",
            "the tensor was made under InferenceMode; use a clone made outside of it");
    set_autograd_meta(make_ref<LeafNode>(*this));
  }
  return *this;
}

LeafNode::LeafNode(const Tensor& leaf) : Node("leaf", leaf, nullptr, 0) { sequence_ = kRunsFirst; }

void LeafNode::zero_grad() {
  written_ = is_offered_ = false;
  if (!has_slot_) gradient_ = Tensor();
}

Tensor LeafNode::offer_slot(const Shape& of_shape, DType of_dtype, Device on) {
  const bool fits = of_shape == shape() && of_dtype == dtype() && on == device();
  if (!detail::running_pass.fills_leaves) return {};
  if (!has_slot_ || written_ || is_offered_ || !fits) return {};
  if (const NodeHooks* hooks = existing_hooks(); hooks && !hooks->tensor.empty()) return {};
  is_offered_ = true;
  gradient_.bump_version();
  return gradient_;
}

void LeafNode::accumulate(Tensor dy) {
  if (!dy.defined()) return;
  if (is_offered_ && dy.raw_data() == gradient_.raw_data()) {
    is_offered_ = false;  // it is there already
  } else if (written_ && gradient_.requires_grad()) {
    gradient_ = sum_gradients(gradient_, dy);  // its history is of what it was
  } else if (written_ || is_offered_) {
    accumulate_inplace(gradient_, dy);
  } else if (has_slot_) {
    copy_inplace(gradient_, dy);
  } else if (dy.is_sole_owner() && dy.is_contiguous() && dy.storage()->bytes() == dy.nbytes()) {
    dy.storage()->set_memory_kind(MemoryKind::kGradients);
    gradient_ = std::move(dy);
  } else {
    MemoryKindGuard kind(MemoryKind::kGradients);
    gradient_ = clone_detached(dy);
  }
  written_ = true;
}

void LeafNode::accumulate_recorded(const Tensor& dy) {
  require(!is_slot_claimed_, "backward",
          "with create_graph a gradient keeps its history, and that "
          "of a leaf ",
          dtype(), shape(),
          " lives in memory of a reducer, which keeps none; use "
          "grad(), which fills no leaves");
  if (!dy.defined()) return;
  gradient_ = written_ ? sum_gradients(gradient_, dy) : copy_gradient(dy);
  written_ = true;
}

void LeafNode::claim_slot() {
  require(!is_slot_claimed_, "gradient_slot", "the leaf's gradient already lives in a slot");
  is_slot_claimed_ = true;
}

void LeafNode::set_slot(const Tensor& slot) {
  require(slot.shape() == shape() && slot.dtype() == dtype() && slot.device() == device() &&
              slot.is_contiguous(),
          "gradient_slot", "memory must be contiguous ", name_of(dtype()), shape(), " on ",
          device(), ", got ", name_of(slot.dtype()), slot.shape(), " on ", slot.device());
  if (written_) copy_inplace(slot, gradient_);
  gradient_ = slot;
  has_slot_ = true;
}

void LeafNode::release_slot() noexcept {
  is_slot_claimed_ = is_offered_ = false;
  if (!has_slot_) return;
  has_slot_ = false;
  try {
    gradient_ = written_ ? clone_detached(gradient_) : Tensor();
  } catch (const std::exception&) {
    zero_grad();
  }
}

void LeafNode::set_gradient(const Tensor& gradient) {
  require(
      gradient.shape() == shape() && gradient.dtype() == dtype() && gradient.device() == device(),
      "set_gradient", "must be ", name_of(dtype()), shape(), " on ", device(), ", got ",
      name_of(gradient.dtype()), gradient.shape(), " on ", gradient.device());
  zero_grad();
  accumulate(gradient);
}

void LeafNode::mark_written() {
  require(has_slot_, "gradient_slot", "has no memory yet, call set() first");
  written_ = true;
}

LeafNode& leaf_node(const char* op, const Tensor& leaf) {
  require(leaf.defined(), op, "needs a leaf that requires a gradient, got an undefined tensor");
  require(leaf.requires_grad() && leaf.is_leaf(), op, "needs a leaf that requires a gradient, got ",
          leaf.dtype(), leaf.shape(), leaf.requires_grad() ? ", a result" : ", which needs none");
  return static_cast<LeafNode&>(*leaf.autograd_meta());
}

GradientSlot::GradientSlot(const Tensor& leaf) : leaf_(&leaf_node("gradient_slot", leaf)) {
  leaf_->claim_slot();
}
GradientSlot::GradientSlot(GradientSlot&& other) noexcept = default;
GradientSlot::~GradientSlot() {
  if (leaf_) leaf_->release_slot();
}
void GradientSlot::set(const Tensor& memory) { leaf_->set_slot(memory); }
void GradientSlot::mark_written() { leaf_->mark_written(); }
void GradientSlot::forget() { leaf_->zero_grad(); }
bool GradientSlot::belongs_to(const Tensor& tensor) const {
  return tensor.autograd_meta().get() == leaf_.get();
}

bool has_gradient_slot(const Tensor& tensor) {
  return tensor.requires_grad() && tensor.is_leaf() &&
         leaf_node("gradient_slot", tensor).is_slot_claimed();
}
void set_gradient(const Tensor& leaf, const Tensor& gradient) {
  leaf_node("set_gradient", leaf).set_gradient(gradient);
}

}  // namespace trireme
