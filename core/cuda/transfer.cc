#include "core/cuda/transfer.h"

#include <cstring>

#include "core/cuda/api.h"
#include "core/cuda/check.h"
#include "core/cuda/device.h"
#include "core/cuda/graph.h"
#include "core/cuda/index_error.h"
#include "core/cuda/pinned.h"
#include "core/cuda/stream.h"

namespace trireme::cuda {
namespace {

constexpr int64_t kMostStaged = 64 << 20;

void copy_async(void* to, const void* from, int64_t bytes, cudaMemcpyKind kind,
                cudaStream_t stream) {
  check("copy", api().memcpy_async(to, from, static_cast<size_t>(bytes), kind, stream));
}

}  // namespace

void copy_to_device(int device, void* to, const void* from, int64_t bytes) {
  if (bytes == 0) return;
  refuse_while_capturing("copy to device",
                         "copy into a tensor that the step reads before each replay");
  const Cuda cuda = current_cuda(device);
  if (bytes > kMostStaged) {
    count_sync();
    return copy_async(to, from, bytes, cudaMemcpyHostToDevice, cuda.stream);
  }
  std::shared_ptr<void> staged = allocate_pinned(bytes);
  std::memcpy(staged.get(), from, static_cast<size_t>(bytes));
  copy_async(to, staged.get(), bytes, cudaMemcpyHostToDevice, cuda.stream);
  keep_until_done(cuda, std::move(staged));
}

void copy_to_host(int device, void* to, const void* from, int64_t bytes) {
  if (bytes > 0) copy_async(to, from, bytes, cudaMemcpyDeviceToHost, current_stream(device));
  synchronize(device);
}

void copy_across(int to_device, void* to, int from_device, const void* from, int64_t bytes) {
  if (bytes == 0) return;
  const cudaStream_t source = current_stream(from_device);
  Event written(from_device);
  written.record(source);
  const cudaStream_t target = current_stream(to_device);
  written.make_wait(target);
  check("copy", api().memcpy_peer_async(to, to_device, from, from_device,
                                        static_cast<size_t>(bytes), target));
  Event read(to_device);
  read.record(target);
  make_current(from_device);
  read.make_wait(source);
  make_current(to_device);
}

struct HostCopy::State {
  int device;
  std::shared_ptr<void> buffer;
  Event done;
};

HostCopy::HostCopy(int device, const void* from, int64_t bytes) {
  refuse_while_capturing("copy to host", "read results behind the step");
  const cudaStream_t stream = current_stream(device);  // first: it chooses the thread's device
  state_.reset(new State{device, allocate_pinned(bytes), Event(device)});
  copy_async(state_->buffer.get(), from, bytes, cudaMemcpyDeviceToHost, stream);
  state_->done.record(stream);
}

// A buffer that the device may still write must not go to anybody else.
HostCopy::~HostCopy() {
  if (api().event_query(state_->done.get()) == cudaErrorNotReady) {
    api().get_last_error();
    api().event_synchronize(state_->done.get());
  }
}

bool HostCopy::is_done() const { return state_->done.is_done(); }

void HostCopy::wait() const {
  check("copy", api().event_synchronize(state_->done.get()));
  throw_index_error(state_->device);
}

const void* HostCopy::data() const { return state_->buffer.get(); }

}  // namespace trireme::cuda
