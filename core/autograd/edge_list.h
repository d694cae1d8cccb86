// The edges of a node whose number of inputs is known at run time only.

#pragma once

#include <utility>
#include <vector>

#include "core/autograd/node.h"

namespace trireme {

/// A base of the node, in front of Node: the edges exist when Node is constructed over them.
///
///   class ConcatNode final : private EdgeList, public Node {
///     ConcatNode(...) : EdgeList(parts), Node("concat", y, list.data(), int(list.size())) {}
struct EdgeList {
  explicit EdgeList(std::vector<Ref<Node>> edges) : list(std::move(edges)) {}
  /// Null where an input is undefined or needs no gradient.
  explicit EdgeList(const std::vector<Tensor>& inputs) {
    for (const Tensor& x : inputs) {
      list.push_back(x.defined() && x.requires_grad() ? edge_to(x) : Ref<Node>());
    }
  }
  std::vector<Ref<Node>> list;
};

}  // namespace trireme
