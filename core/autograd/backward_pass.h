// BackwardPass: one run of the recorded graph. Used by backward() and grad().
//
// The scratch of a pass (dependency count, gradient so far) stands in the nodes; a pass inside a
// pass that meets a node of the outer one sets the outer's scratch aside and puts it back at its
// end.

#pragma once

#include <span>
#include <vector>

#include "core/autograd/node.h"
#include "core/autograd/running_node.h"

namespace trireme {

class BackwardPass {
 public:
  struct Mode {
    bool retain_graph = false;
    bool create_graph = false;
  };
  explicit BackwardPass(Mode mode);
  ~BackwardPass();
  BackwardPass(const BackwardPass&) = delete;

  /// The pass keeps the gradients of `nodes`, to be taken after run(), runs only what leads to them
  /// and fills no leaves. To be called before count(); returns which of them some root reaches.
  std::vector<bool> ask_for(std::span<const Ref<Node>> nodes, std::span<const Ref<Node>> roots);
  /// Counts, for each node that the roots reach, the edges that point to it. Not part of the
  /// constructor: when a node refuses, the destructor must put back those that were entered.
  void count(std::span<const Ref<Node>> roots);
  bool reaches(const Node* node) const { return node->pass_ == this; }
  /// Runs everything that was counted, with one gradient per root, which is taken over.
  void run(std::span<const Ref<Node>> roots, std::span<Tensor> gradients);
  /// What has arrived for nodes[i] of ask_for; undefined if nothing did.
  const Tensor& captured(size_t i) const { return captures_[which_[i]]; }

 private:
  struct SetAside {
    Node* node;
    BackwardPass* pass;
    int pending, capture;
    bool runs;
    Tensor dy;
  };

  static void require_unused(const Node& node);
  static bool is_leaf(const Node* node);
  void count_wanted(std::span<const Ref<Node>> roots);
  void enter(Node* node);
  void run_node(Node* node);
  void capture(const Node& node, const Tensor& dy);
  void run_hooks_before(const Node& node, NodeHooks& hooks, Tensor& dy) const;
  static void run_hooks_after(const Node& node, NodeHooks& hooks, std::span<Tensor> dx,
                              const Tensor& dy);
  void apply(Node& node, const Tensor& dy, Tensor* dx) const;
  void apply_watched(Node& node, const Tensor& dy, Tensor* dx) const;
  void apply_formula(Node& node, const Tensor& dy, Tensor* dx) const;
  void apply_opaque(Node& node, const Tensor& dy, Tensor* dx) const;
  void deliver(Node* to, Tensor dx);
  void add_to(Tensor& sum, Tensor dx) const;

  const Mode mode_;
  const detail::RunningPass outer_;
  const size_t unpacked_;  // of the formula that this pass runs in
  bool asks_ = false;
  std::vector<Node*> visited_;
  std::vector<Node*> ready_;  // heap, newest op on top; leaves before everything
  std::vector<SetAside> set_aside_;

  // Of a pass that asks for gradients.
  std::vector<const Node*> wanted_;  // sorted: those on a path to a node that was asked for
  std::vector<Node*> asked_;         // without repetitions
  std::vector<size_t> which_;        // nodes[i] is asked_[which_[i]]
  std::vector<Tensor> captures_;     // of asked_
};

}  // namespace trireme
