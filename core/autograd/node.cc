#include "core/autograd/node.h"

#include "core/autograd/anomaly.h"
#include "core/autograd/hook_list.h"
#include "core/autograd/running_node.h"

namespace trireme {
namespace {

thread_local uint64_t next_sequence = 0;

// Nodes whose last handle is gone, waiting to be deleted. Deleting one may drop the last handle to
// the next, and so on down a chain of any length: queueing them keeps the stack flat.
thread_local Node* dead_nodes = nullptr;
thread_local bool burying = false;

}  // namespace

Node::Node(const char* op, const Tensor& y, Ref<Node>* edges, int num_edges)
    : sequence_(next_sequence++),
      op_(op),
      edges_(edges),
      num_edges_(num_edges),
      dtype_(y.dtype()),
      device_(y.device()),
      shape_(y.shape()) {
  if (detail::anomaly_mode) [[unlikely]] {
    hooks()->call = capture_forward_call();
  }
}

Node::~Node() = default;

void Node::on_last_ref() {
  next_dead_ = dead_nodes;
  dead_nodes = this;
  if (burying) return;
  burying = true;
  while (Node* node = dead_nodes) {
    dead_nodes = node->next_dead_;
    delete node;
  }
  burying = false;
}

Tensor Node::grad() const { return hooks_ ? hooks_->retained : Tensor(); }

void Node::zero_grad() {
  if (hooks_) hooks_->retained = Tensor();
}

const std::shared_ptr<NodeHooks>& Node::hooks() {
  if (!hooks_) hooks_ = std::make_shared<NodeHooks>();
  return hooks_;
}

const char* running_node_name() {
  const Node* node = detail::running_pass.node;
  return node ? node->name() : "backward";
}

Ref<Node> edge_to(const Tensor& input) {
  return Ref<Node>(static_cast<Node*>(input.autograd_meta().get()));
}

}  // namespace trireme
