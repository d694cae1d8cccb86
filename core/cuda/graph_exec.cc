#include "core/cuda/graph_exec.h"

#include <utility>

#include "core/base/error.h"
#include "core/cuda/api.h"
#include "core/cuda/check.h"

namespace trireme::cuda {
namespace {

/// Tells the listeners that were told of a replay's begin of its end, however it comes.
struct Told {
  explicit Told(cudaStream_t of, size_t most) : stream(of) { listeners.reserve(most); }
  ~Told() {
    for (ReplayListener* listener : listeners) listener->after_replay(stream);
  }
  Told(const Told&) = delete;

  const cudaStream_t stream;
  std::vector<ReplayListener*> listeners;
};

}  // namespace

void GraphExec::listen(std::shared_ptr<ReplayListener> listener) {
  const std::lock_guard lock(mutex_);
  listeners_.push_back(std::move(listener));
}

cudaError_t GraphExec::instantiate(cudaGraph_t recorded) {
  const std::lock_guard lock(mutex_);
  return has_ended_ ? cudaSuccess : api().graph_instantiate(&exec_, recorded, 0);
}

void GraphExec::launch(cudaStream_t stream) {
  const std::lock_guard lock(mutex_);
  Told told(stream, listeners_.size());
  for (const auto& listener : listeners_) {
    listener->before_replay(stream);
    told.listeners.push_back(listener.get());
  }
  if (has_ended_) {
    throw CudaError("replay: what the captured step worked with is closed; capture it anew");
  }
  check("replay", api().graph_launch(exec_, stream));
}

void GraphExec::end() noexcept {
  const std::lock_guard lock(mutex_);
  has_ended_ = true;
  if (exec_) api().graph_exec_destroy(std::exchange(exec_, nullptr));
}

std::shared_ptr<GraphExec>& captured_exec() {
  static thread_local std::shared_ptr<GraphExec> exec;
  return exec;
}

}  // namespace trireme::cuda
