// What backward does on this thread, for formulas and error messages.

#pragma once

#include <cstdint>

namespace trireme {

class Node;

namespace detail {
struct RunningPass {
  Node* node = nullptr;      // whose formula runs; null outside one
  bool fills_leaves = true;  // false: gradients go to whoever asked (grad()), or keep their history
  uint64_t id = 0;           // of the pass, unique in its thread
  bool keeps_graph = true;   // false: what a formula saved is not needed behind it
};
inline constinit thread_local RunningPass running_pass;
}  // namespace detail

/// Name of the op whose formula is running, or "backward" outside one.
const char* running_node_name();

}  // namespace trireme
