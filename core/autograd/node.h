// Node: one recorded op, or the gradient of one leaf. Users meet it through hooks only.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "core/tensor/tensor.h"

namespace trireme {

class Node;
struct NodeHooks;
class BackwardPass;

/// The node that receives the gradient of `input`: the op that made it, or the leaf itself.
Ref<Node> edge_to(const Tensor& input);

/// A node has one output; its gradient is dy. Edges point to the nodes of its inputs (null where an
/// input needs no gradient).
class Node : public AutogradMeta {
 public:
  Node(const char* op, const Tensor& y, Ref<Node>* edges, int num_edges);

  const char* name() const final { return op_; }
  bool is_leaf() const override { return false; }
  Tensor grad() const override;  // defined after retain_grad only
  void zero_grad() override;

  /// dx[i] = gradient for edge i, given dy. dx has num_edges entries, undefined at the start.
  virtual void apply(const Tensor& dy, Tensor* dx) = 0;
  /// Whether apply is called without a dy too (undefined): the node was handed a gradient by
  /// another way, as one of several results of an op.
  virtual bool has_other_gradient() const { return false; }
  /// Whether apply may run with recording on: what it returns then has its history.
  virtual bool is_differentiable() const { return false; }
  /// Drops saved tensors; a later apply is an error ("backward a second time").
  virtual void release_saved() = 0;
  /// True if there is nothing to release: such a node may take part in any number of passes.
  virtual bool saves_nothing() const { return false; }

  std::span<Ref<Node>> edges() const { return {edges_, static_cast<size_t>(num_edges_)}; }
  uint64_t sequence() const { return sequence_; }
  const Shape& shape() const { return shape_; }
  DType dtype() const { return dtype_; }
  Device device() const { return device_; }
  const std::shared_ptr<NodeHooks>& hooks();  // created on first use

 protected:
  ~Node() override;
  void on_last_ref() override;  // destroys chains without recursion
  const NodeHooks* existing_hooks() const { return hooks_.get(); }
  static constexpr uint64_t kRunsFirst = ~uint64_t{0};  // sequence of leaves
  uint64_t sequence_;

 private:
  friend class BackwardPass;
  const char* op_;
  Ref<Node>* edges_;  // lives in the derived class
  int num_edges_;
  bool released_ = false;
  bool runs_ = true;  // scratch, see below; false: its gradient is only asked for
  DType dtype_;
  Device device_;
  Shape shape_;
  std::shared_ptr<NodeHooks> hooks_;  // shared with handles, which may outlive the node

  // Scratch of the backward pass that visits this node; meaningless outside one.
  BackwardPass* pass_ = nullptr;
  int pending_ = 0;   // edges into this node that have not delivered yet
  int capture_ = -1;  // which of the gradients that were asked for is this node's, if one
  Tensor dy_;         // sum of what was delivered
  Node* next_dead_ = nullptr;
};

/// A leaf that needs a gradient: where the gradient is kept. In the graph it is a node without
/// edges.
class LeafNode final : public Node {
 public:
  explicit LeafNode(const Tensor& leaf);

  bool is_leaf() const override { return true; }
  Tensor grad() const override { return written_ ? gradient_ : Tensor(); }
  /// Own memory is given up; a slot keeps its bytes and is overwritten by the next contribution.
  void zero_grad() override;
  void apply(const Tensor&, Tensor*) override {}
  void release_saved() override {}

  /// Adds dy, or takes it over when nothing is there yet.
  void accumulate(Tensor dy);
  /// The same with history, for create_graph. Refused where the gradient lives in a slot.
  void accumulate_recorded(const Tensor& dy);
  /// The slot, for a formula that will write a contribution there and deliver it (GradientHome).
  /// Undefined where it does not fit, holds something of this epoch, was offered already, or a
  /// tensor hook is to see contributions before they are there.
  Tensor offer_slot(const Shape& shape, DType dtype, Device device);
  /// For a pass that failed: what was offered may never have been written.
  void withdraw_offer() { is_offered_ = false; }
  /// The same where `contribution` is what was offered: it will not be delivered.
  void withdraw_offer(const Tensor& contribution) {
    if (contribution.defined() && is_offered_ && contribution.raw_data() == gradient_.raw_data()) {
      is_offered_ = false;
    }
  }
  void set_gradient(const Tensor& gradient);

  // For GradientSlot.
  void claim_slot();
  void set_slot(const Tensor& slot);
  void mark_written();
  void release_slot() noexcept;
  bool is_slot_claimed() const { return is_slot_claimed_; }

 private:
  Tensor gradient_;  // the slot if has_slot_, else own memory (undefined when not written_)
  bool is_slot_claimed_ = false;
  bool has_slot_ = false;
  bool written_ = false;     // false: the slot's bytes are of an earlier epoch
  bool is_offered_ = false;  // the slot holds a contribution that has not been delivered yet
};

/// The leaf node behind `leaf`. Throws InvalidArgument naming `op` if it is not a leaf that needs a
/// gradient.
LeafNode& leaf_node(const char* op, const Tensor& leaf);

}  // namespace trireme
