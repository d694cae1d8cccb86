#include "core/autograd/once_differentiable.h"

#include "core/autograd/edge_list.h"

namespace trireme {
namespace {

/// Its edges lead where the gradient came from: to dy and to the inputs of the op.
class RefusingNode final : private EdgeList, public Node {
 public:
  RefusingNode(const char* op, const Tensor& dx, std::vector<Ref<Node>> edges)
      : EdgeList(std::move(edges)), Node(op, dx, list.data(), static_cast<int>(list.size())) {}

  void apply(const Tensor& /*dy*/, Tensor* /*dx*/) override {
    fail(name(),
         "its gradient cannot be differentiated again: it comes from a kernel that leaves "
         "no record; compose the op from others, or leave create_graph out");
  }
  void release_saved() override {}
  bool saves_nothing() const override { return true; }
};

}  // namespace

Tensor once_differentiable(const Node& node, const Tensor& dy, const Tensor& dx) {
  std::vector<Ref<Node>> edges;
  if (dy.defined() && dy.requires_grad()) edges.push_back(edge_to(dy));
  for (const Ref<Node>& edge : node.edges()) {
    if (edge) edges.push_back(edge);
  }
  Tensor result = dx.detach();
  result.set_autograd_meta(make_ref<RefusingNode>(node.name(), result, std::move(edges)));
  return result;
}

}  // namespace trireme
