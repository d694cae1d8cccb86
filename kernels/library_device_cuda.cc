#include <cuda_runtime_api.h>

#include <array>
#include <memory>

#include "core/cuda/api.h"
#include "core/cuda/check.h"
#include "core/cuda/device.h"
#include "core/cuda/memory.h"
#include "core/cuda/stream.h"
#include "kernels/library_device.h"

namespace trireme::kernels {
namespace {

/// An event that records times. Waiting for one happens only where something is timed, in the first
/// call of a shape; sync_count(), which counts what a training step waits for, leaves it out.
class TimedEvent {
 public:
  TimedEvent() {
    cuda::check("cuda", cuda::api().event_create_with_flags(&event_, cudaEventDefault));
  }
  ~TimedEvent() { cuda::api().event_destroy(event_); }
  TimedEvent(const TimedEvent&) = delete;
  void record(cudaStream_t stream) {
    cuda::check("cuda", cuda::api().event_record(event_, stream));
  }
  double milliseconds_since(const TimedEvent& start) const {
    float ms = 0;
    cuda::check("cuda", cuda::api().event_synchronize(event_));
    cuda::check("cuda", cuda::api().event_elapsed_time(&ms, start.event_, event_));
    return ms;
  }

 private:
  cudaEvent_t event_ = nullptr;
};

class CudaLibraryDevice : public LibraryDevice {
 public:
  explicit CudaLibraryDevice(int index) : index_(index), info_(cuda::device_info(index)) {}

  std::string name() const override { return info_.name; }
  int architecture() const override { return info_.compute_capability; }

  void* allocate(CUstream_st*, int64_t bytes) override {
    const MemoryKindGuard kind(MemoryKind::kWorkspace);
    return cuda::allocate(bytes, index_);
  }
  void free(CUstream_st*, void* block) noexcept override { cuda::free(block, index_); }

  void check_launch(const char* op, CUstream_st* stream) override {
    cuda::check_launch(op, {stream, index_});
  }

  bool can_time(CUstream_st* stream) const override {
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    cuda::check("cuda", cuda::api().stream_is_capturing(stream, &status));
    return status == cudaStreamCaptureStatusNone;
  }

  double milliseconds(CUstream_st* stream, int repeats,
                      const std::function<void()>& work) override {
    TimedEvent start, end;
    work();
    start.record(stream);
    for (int i = 0; i < repeats; ++i) work();
    end.record(stream);
    return end.milliseconds_since(start) / repeats;
  }

 private:
  const int index_;
  const cuda::DeviceInfo info_;
};

}  // namespace

LibraryDevice& library_device(int index) {
  thread_local std::array<std::unique_ptr<CudaLibraryDevice>, cuda::kMaxDevices> devices;
  auto& device = devices[static_cast<size_t>(index)];
  if (!device) device = std::make_unique<CudaLibraryDevice>(index);
  return *device;
}

}  // namespace trireme::kernels
