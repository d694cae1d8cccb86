#include "core/autograd/anomaly.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include <absl/debugging/symbolize.h>
#include <execinfo.h>

#include "core/autograd/hook_list.h"
#include "core/autograd/node.h"

namespace trireme {

/// Addresses only: names are looked up for a call that is shown.
struct ForwardCall {
  std::array<void*, 32> frames;
  int depth = 0;
};

namespace {

std::string name_of_frame(void* address) {
  char name[512];
  return absl::Symbolize(address, name, sizeof(name)) ? name : concat(address);
}

/// Frames that every op has on top: this file, the node, attach.
bool is_ours(std::string_view frame) {
  constexpr std::string_view kInner[] = {"capture_forward_call", "Node::Node", "Node::", "attach",
                                         "make_ref"};
  return std::any_of(std::begin(kInner), std::end(kInner),
                     [&](auto part) { return frame.find(part) != std::string_view::npos; });
}

}  // namespace

std::shared_ptr<const ForwardCall> capture_forward_call() {
  auto call = std::make_shared<ForwardCall>();
  call->depth = backtrace(call->frames.data(), static_cast<int>(call->frames.size()));
  return call;
}

std::string describe_forward_call(const Node& node, const NodeHooks* hooks) {
  if (!hooks || !hooks->call) {
    return concat(node.name(), " was recorded outside of AnomalyMode: its call is not known");
  }
  std::string text =
      concat(node.name(), ", op ", node.sequence(), " of its thread, was called from");
  bool inside = true;
  for (int i = 0; i < hooks->call->depth; ++i) {
    const std::string frame = name_of_frame(hooks->call->frames[static_cast<size_t>(i)]);
    inside = inside && is_ours(frame);
    if (!inside) text += "\n    " + frame;
  }
  return text;
}

bool has_nan(const Tensor& x) {
  const std::vector<double> values = x.to_vector<double>();
  return std::any_of(values.begin(), values.end(), [](double v) { return std::isnan(v); });
}

}  // namespace trireme
