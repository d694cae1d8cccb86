// The bytes behind tensors, shared by all views of them.

#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "core/base/device.h"
#include "core/base/ref.h"
#include "core/tensor/allocator.h"
#include "core/tensor/autograd_meta.h"

namespace trireme {

/// Reference-counted bytes on a device, with the version counter that all views share: every
/// in-place operation bumps it, so that autograd notices when a saved tensor has changed.
class Storage final : public RefCounted {
 public:
  /// Owns `bytes` fresh, uninitialised bytes.
  static Ref<Storage> allocate(int64_t bytes, Device device);
  /// Uses memory that someone else owns; `owner` is kept alive as long as the storage.
  static Ref<Storage> borrow(void* data, int64_t bytes, Device device,
                             std::shared_ptr<const void> owner);

  void* data() const { return data_; }
  int64_t bytes() const { return bytes_; }
  Device device() const { return device_; }
  uint32_t version() const { return version_.load(std::memory_order_relaxed); }
  /// Allocated under InferenceMode (core/autograd/no_grad.h): never saved for backward.
  bool is_inference() const { return is_inference_; }
  /// Counts own memory under another kind; does nothing for borrowed memory.
  void set_memory_kind(MemoryKind kind);
  void bump_version() { version_.fetch_add(1, std::memory_order_relaxed); }

 private:
  Storage(void* data, int64_t bytes, Device device, std::shared_ptr<const void> owner)
      : data_(data), bytes_(bytes), owner_(std::move(owner)), device_(device) {}
  ~Storage() override;

  void* data_;
  int64_t bytes_;
  std::shared_ptr<const void> owner_;  // null: the memory is ours
  std::atomic<uint32_t> version_{0};
  Device device_;
  const bool is_inference_ = detail::inference;
};

}  // namespace trireme
