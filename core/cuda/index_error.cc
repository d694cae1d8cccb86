#include "core/cuda/index_error.h"

#include <array>
#include <atomic>
#include <mutex>
#include <vector>

#include "core/base/error.h"
#include "core/cuda/api.h"
#include "core/cuda/check.h"
#include "core/cuda/device.h"

namespace trireme::cuda {
namespace {

struct Slot {
  std::mutex mutex;
  std::atomic<IndexErrorSlot*> host{nullptr};
  IndexErrorSlot* device = nullptr;  // the same memory at the device's address
};

Slot& slot_of(int device) {
  static auto* const slots = new std::array<Slot, kMaxDevices>;
  return slots->at(static_cast<size_t>(device));
}

void make(Slot& slot) {
  void* host = nullptr;
  void* mapped = nullptr;
  check("index_check", api().host_alloc(&host, sizeof(IndexErrorSlot),
                                        cudaHostAllocMapped | cudaHostAllocPortable));
  auto* const cleared = new (host) IndexErrorSlot{};
  check("index_check", api().host_get_device_pointer(&mapped, host, 0));
  slot.device = static_cast<IndexErrorSlot*>(mapped);
  slot.host.store(cleared, std::memory_order_release);
}

// Names by number: kernels cannot carry strings.
struct OpNames {
  std::mutex mutex;
  std::vector<const char*> names;
};
OpNames& op_names() {
  static auto* const names = new OpNames;
  return *names;
}

int32_t number_of(const char* op) {
  OpNames& ops = op_names();
  std::lock_guard lock(ops.mutex);
  for (size_t i = 0; i < ops.names.size(); ++i) {
    if (ops.names[i] == op) return static_cast<int32_t>(i);
  }
  ops.names.push_back(op);
  return static_cast<int32_t>(ops.names.size()) - 1;
}

const char* name_of(int32_t op) {
  OpNames& ops = op_names();
  std::lock_guard lock(ops.mutex);
  return ops.names.at(static_cast<size_t>(op));
}

}  // namespace

IndexCheck index_check(const char* op, int device) {
  Slot& slot = slot_of(device);
  if (!slot.host.load(std::memory_order_acquire)) {
    std::lock_guard lock(slot.mutex);
    if (!slot.host.load(std::memory_order_relaxed)) make(slot);
  }
  return {slot.device, number_of(op)};
}

void throw_index_error(int device) {
  Slot& slot = slot_of(device);
  IndexErrorSlot* const host = slot.host.load(std::memory_order_acquire);
  if (!host) return;
  const auto is_written = [&] {
    return std::atomic_ref(host->state).load(std::memory_order_acquire) == IndexErrorSlot::kWritten;
  };
  if (!is_written()) return;
  std::lock_guard lock(slot.mutex);
  if (!is_written()) return;  // another thread throws it
  const IndexErrorSlot error = *host;
  std::atomic_ref(host->state).store(IndexErrorSlot::kFree, std::memory_order_release);
  fail(name_of(error.op), "index ", error.value, " at position ", error.position,
       " must be in [0, ", error.bound, ")");
}

}  // namespace trireme::cuda
