// AnomalyMode: which call of the program a bad gradient comes from.
//
//   AnomalyMode anomaly;          // on this thread, from here to the end of the scope
//   loss = model(x);
//   backward(loss);
//   // backward: log gave NaN in the gradient of its operand 0, f32[64, 10]
//   // log, op 17 of its thread, was called from
//   //     trireme::log()
//   //     Model::loss()
//
// For finding an error, not for training: every op stores its call stack, and every gradient is
// read back and searched for NaN.

#pragma once

#include <memory>
#include <string>

#include "core/tensor/tensor.h"

namespace trireme {

class AnomalyMode;
class Node;
struct NodeHooks;
struct ForwardCall;

namespace detail {
inline constinit thread_local const AnomalyMode* anomaly_mode = nullptr;
}  // namespace detail

/// While alive, ops of this thread remember who called them; a backward that throws logs that call
/// and lets the error through, and one that produces NaN throws Error with it. Must be alive in
/// forward and backward. Guards nest and end in the order of scopes.
class AnomalyMode {
 public:
  enum class CheckNan { kYes, kNo };
  explicit AnomalyMode(CheckNan check = CheckNan::kYes)
      : checks_nan_(check == CheckNan::kYes), outer_(detail::anomaly_mode) {
    detail::anomaly_mode = this;
  }
  ~AnomalyMode() { detail::anomaly_mode = outer_; }
  AnomalyMode(const AnomalyMode&) = delete;

  bool checks_nan() const { return checks_nan_; }

 private:
  bool checks_nan_;
  const AnomalyMode* outer_;
};

// For the engine.

/// The stack of the calling thread.
std::shared_ptr<const ForwardCall> capture_forward_call();
/// "log, op 17 of its thread, was called from" and one line per frame. hooks may be null.
std::string describe_forward_call(const Node& node, const NodeHooks* hooks);
bool has_nan(const Tensor& x);

}  // namespace trireme
