// The recorded graph behind a tensor, as text and for Graphviz. Several threads may print it at
// a time, but not while one of them runs backward over it.

#pragma once

#include <string>

#include "core/tensor/tensor.h"

namespace trireme {

/// One line per node from y down, newest op first, with its number, name, dtype and shape and the
/// nodes that its gradients go to:
///
///   3 sum f32[] -> 2
///   2 mul f32[2] -> 0 1
///   1 leaf f32[2]
///   0 leaf f32[2]
///
/// Numbers follow the order in which ops ran; leaves come first. A missing edge, because an input
/// needs no gradient, is not shown. Empty if y needs no gradient.
std::string graph_text(const Tensor& y);

/// The same in the language of Graphviz: `dot -Tsvg` draws it. Leaves are boxes.
std::string graph_dot(const Tensor& y);

}  // namespace trireme
