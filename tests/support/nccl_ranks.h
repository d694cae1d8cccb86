// Ranks on the fake GPUs: what tests of the nccl backend share.

#pragma once

#include <algorithm>
#include <cstring>
#include <functional>
#include <vector>

#include "core/cuda/stream.h"
#include "core/cuda/transfer.h"
#include "distributed/nccl_communicator.h"
#include "distributed/run_ranks.h"
#include "tests/support/fake_gpus.h"
#include "tests/support/fake_nccl.h"

namespace trireme::testing {

inline constexpr CommOptions kPatient{std::chrono::seconds(60)};
/// Long enough for a loaded machine where nothing is wrong, short where the deadline is awaited.
inline constexpr CommOptions kHasty{std::chrono::milliseconds(300)};

inline NcclOptions quick_options() {
  NcclOptions options;
  options.watch_interval = std::chrono::milliseconds(2);
  options.abort_timeout = std::chrono::seconds(30);
  return options;
}

/// A thread per fake GPU, each with its communicator.
inline void run_gpu_ranks(int world_size, const std::function<void(NcclCommunicator&)>& body,
                          const CommOptions& comm = kPatient,
                          const NcclOptions& options = quick_options()) {
  run_ranks(
      world_size, DeviceType::kCuda,
      [&](Communicator& c) { body(dynamic_cast<NcclCommunicator&>(c)); }, comm, options);
}

/// The kernels of kernels/fill_copy.cu that training on fake GPUs meets: their arguments are the
/// number of elements and a body of {to, from}, or of {to, value}.
inline std::function<void()> copy_or_fill(void** arguments) {
  struct Body {
    float* to;
    union {
      const float* from;
      float value;
    };
  };
  const int64_t count = *static_cast<int64_t*>(arguments[0]);
  const Body body = *static_cast<Body*>(arguments[1]);
  if (FakeGpus::get().is_device_memory(body.from)) {
    return [=] { std::memmove(body.to, body.from, static_cast<size_t>(count) * sizeof(float)); };
  }
  return [=] { std::fill_n(body.to, count, body.value); };
}

/// Values in memory of the communicator's device.
template <typename T>
class DeviceValues {
 public:
  DeviceValues(Communicator& comm, const std::vector<T>& values)
      : device_(comm.device().index),
        count_(values.size()),
        memory_(comm.allocate(static_cast<int64_t>(values.size() * sizeof(T)))) {
    cuda::copy_to_device(device_, memory_.get(), values.data(), bytes());
  }
  DeviceValues(Communicator& comm, size_t count) : DeviceValues(comm, std::vector<T>(count)) {}
  T* data() const { return static_cast<T*>(memory_.get()); }
  int64_t bytes() const { return static_cast<int64_t>(count_ * sizeof(T)); }
  int64_t count() const { return static_cast<int64_t>(count_); }
  /// Waits for the current stream.
  std::vector<T> read() const {
    std::vector<T> values(count_);
    cuda::copy_to_host(device_, values.data(), memory_.get(), bytes());
    return values;
  }

 private:
  int device_;
  size_t count_;
  std::shared_ptr<void> memory_;
};

}  // namespace trireme::testing
