#include "core/cuda/transfer.h"

#include <cstring>

#include "core/base/error.h"
#include "core/base/parallel_for.h"
#include "core/cuda/api.h"
#include "core/cuda/check.h"
#include "core/cuda/device.h"
#include "core/cuda/graph.h"
#include "core/cuda/index_error.h"
#include "core/cuda/pinned.h"
#include "core/cuda/stream.h"

namespace trireme::cuda {
namespace {

constexpr int64_t kMostStaged = 512 << 20;  // a batch of 256 images of 224 x 224 in f32 is 147 MiB
constexpr int64_t kGrain = 4 << 20;         // one thread copies some 8 GB/s

constexpr char kToDevice[] = "copy to the device", kToHost[] = "copy to the host";

void copy_async(const char* op, Cuda device, void* to, const void* from, int64_t bytes,
                cudaMemcpyKind kind) {
  check(op, api().memcpy_async(to, from, static_cast<size_t>(bytes), kind, device.stream));
  check_launch(op, device);
}

/// Pinned memory, or null where there are too many bytes or the system locks no more.
std::shared_ptr<void> stage(int64_t bytes) {
  if (bytes > kMostStaged) return nullptr;
  try {
    return allocate_pinned(bytes);
  } catch (const OutOfMemory&) {
    return nullptr;
  }
}

}  // namespace

void copy_to_device(int device, void* to, const void* from, int64_t bytes) {
  if (bytes == 0) return;
  refuse_while_capturing("copy to device",
                         "copy into a tensor that the step reads before each replay");
  const Cuda cuda = current_cuda(device);
  const std::shared_ptr<void> staged = stage(bytes);
  if (!staged) {
    count_sync();
    return copy_async(kToDevice, cuda, to, from, bytes, cudaMemcpyHostToDevice);
  }
  parallel_for(bytes, kGrain, [&](int64_t begin, int64_t end) {
    std::memcpy(static_cast<char*>(staged.get()) + begin, static_cast<const char*>(from) + begin,
                static_cast<size_t>(end - begin));
  });
  check(kToDevice, api().memcpy_async(to, staged.get(), static_cast<size_t>(bytes),
                                      cudaMemcpyHostToDevice, cuda.stream));
  keep_until_done(cuda, staged, bytes);
  check_launch(kToDevice, cuda);
}

void copy_to_host(int device, void* to, const void* from, int64_t bytes) {
  if (bytes > 0) {
    copy_async(kToHost, current_cuda(device), to, from, bytes, cudaMemcpyDeviceToHost);
  }
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
  check_launch("copy", {target, to_device});
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
  const Cuda cuda = current_cuda(device);  // first: it chooses the thread's device
  state_.reset(new State{device, allocate_pinned(bytes), Event(device)});
  try {
    copy_async(kToHost, cuda, state_->buffer.get(), from, bytes, cudaMemcpyDeviceToHost);
    state_->done.record(cuda.stream);
  } catch (...) {
    abandon_pinned(std::move(state_->buffer));
    throw;
  }
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
