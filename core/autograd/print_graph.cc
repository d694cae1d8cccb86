#include "core/autograd/print_graph.h"

#include <algorithm>
#include <sstream>
#include <unordered_map>
#include <vector>

#include "core/autograd/node.h"

namespace trireme {
namespace {

/// The nodes behind y in the order of their numbers, and their numbers.
struct Graph {
  explicit Graph(const Tensor& y) {
    if (!y.defined() || !y.requires_grad()) return;
    visit(edge_to(y).get());
    for (size_t next = 0; next < nodes.size(); ++next) {
      for (const Ref<Node>& edge : nodes[next]->edges()) {
        if (edge) visit(edge.get());
      }
    }
    std::stable_sort(nodes.begin(), nodes.end(), [](const Node* a, const Node* b) {
      if (a->is_leaf() != b->is_leaf()) return a->is_leaf();
      return !a->is_leaf() && a->sequence() < b->sequence();
    });
    for (size_t i = 0; i < nodes.size(); ++i) numbers[nodes[i]] = i;
  }

  std::vector<const Node*> nodes;
  std::unordered_map<const Node*, size_t> numbers;

 private:
  void visit(const Node* node) {
    if (numbers.emplace(node, 0).second) nodes.push_back(node);
  }
};

}  // namespace

std::string graph_text(const Tensor& y) {
  const Graph graph(y);
  std::ostringstream out;
  for (size_t i = graph.nodes.size(); i-- > 0;) {
    const Node& node = *graph.nodes[i];
    out << i << ' ' << node.name() << ' ' << node.dtype() << node.shape();
    const char* before = " -> ";
    for (const Ref<Node>& edge : node.edges()) {
      if (!edge) continue;
      out << before << graph.numbers.at(edge.get());
      before = " ";
    }
    out << '\n';
  }
  return out.str();
}

std::string graph_dot(const Tensor& y) {
  const Graph graph(y);
  std::ostringstream out;
  out << "digraph autograd {\n";
  for (size_t i = graph.nodes.size(); i-- > 0;) {
    const Node& node = *graph.nodes[i];
    out << "  n" << i << " [label=\"" << node.name() << "\\n"
        << node.dtype() << node.shape() << '"' << (node.is_leaf() ? ", shape=box" : "") << "];\n";
    for (const Ref<Node>& edge : node.edges()) {
      if (edge) out << "  n" << i << " -> n" << graph.numbers.at(edge.get()) << ";\n";
    }
  }
  out << "}\n";
  return out.str();
}

}  // namespace trireme
