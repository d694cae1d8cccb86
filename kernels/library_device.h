// The GPU as the wrappers of cuBLASLt and cuDNN see it: working memory, and timing of candidates.
//
// One interface, so that tests run both wrappers on host memory without a GPU.

#pragma once

#include <cstdint>
#include <functional>
#include <string>

struct CUstream_st;

namespace trireme::kernels {

class LibraryDevice {
 public:
  virtual ~LibraryDevice() = default;

  /// "NVIDIA H200"
  virtual std::string name() const = 0;
  /// 90 for compute capability 9.0.
  virtual int architecture() const = 0;
  /// Working memory for work queued on `stream`; freed behind that work. Throws OutOfMemory.
  virtual void* allocate(CUstream_st* stream, int64_t bytes) = 0;
  virtual void free(CUstream_st* stream, void* block) noexcept = 0;
  /// To be called behind the work that `op` has queued: cuda::check_launch.
  virtual void check_launch(const char* op, CUstream_st* stream) = 0;
  /// False while a CUDA graph is being captured on `stream`: nothing runs then, so nothing can be
  /// timed.
  virtual bool can_time(CUstream_st* stream) const = 0;
  /// Queues `work` once to warm up, then `repeats` times, waits, and gives the mean time of one.
  virtual double milliseconds(CUstream_st* stream, int repeats,
                              const std::function<void()>& work) = 0;
};

/// Working memory for the length of a call.
class LibraryWorkspace {
 public:
  LibraryWorkspace(LibraryDevice& device, CUstream_st* stream, int64_t bytes)
      : device_(device), stream_(stream), data_(bytes ? device.allocate(stream, bytes) : nullptr) {}
  ~LibraryWorkspace() {
    if (data_) device_.free(stream_, data_);
  }
  LibraryWorkspace(const LibraryWorkspace&) = delete;
  void* data() const { return data_; }

 private:
  LibraryDevice& device_;
  CUstream_st* stream_;
  void* data_;
};

/// The calling thread's device `index`. Lives as long as the thread.
LibraryDevice& library_device(int index);

}  // namespace trireme::kernels
