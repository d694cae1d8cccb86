#include "core/tensor/storage.h"

#include "core/base/error.h"
#include "core/tensor/device_memory.h"

namespace trireme {

Ref<Storage> Storage::allocate(int64_t bytes, Device device) {
  const MemoryKind asked = current_memory_kind();
  const MemoryKindGuard kind(asked == MemoryKind::kOther ? MemoryKind::kActivations : asked);
  return Ref<Storage>::adopt(new Storage(allocate_on(device, bytes), bytes, device, nullptr));
}

Ref<Storage> Storage::borrow(void* data, int64_t bytes, Device device,
                             std::shared_ptr<const void> owner) {
  require(owner != nullptr || bytes == 0, "storage", "borrowed memory needs an owner");
  return Ref<Storage>::adopt(new Storage(data, bytes, device, std::move(owner)));
}

void Storage::set_memory_kind(MemoryKind kind) {
  if (!owner_) set_memory_kind_on(device_, data_, kind);
}

Storage::~Storage() {
  if (!owner_) free_on(device_, data_);
}

}  // namespace trireme
