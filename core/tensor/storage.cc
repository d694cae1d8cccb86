#include "core/tensor/storage.h"

#include "core/base/device_tag.h"

namespace trireme {

Ref<Storage> Storage::allocate(int64_t bytes, Device device) {
  void* data = on_device(device, [&](Cpu) { return cpu_allocate(static_cast<size_t>(bytes)); });
  return Ref<Storage>::adopt(new Storage(data, bytes, device, nullptr));
}

Ref<Storage> Storage::borrow(void* data, int64_t bytes, Device device,
                             std::shared_ptr<const void> owner) {
  require(owner != nullptr || bytes == 0, "storage", "borrowed memory needs an owner");
  return Ref<Storage>::adopt(new Storage(data, bytes, device, std::move(owner)));
}

void Storage::set_memory_kind(MemoryKind kind) {
  if (!owner_) trireme::set_memory_kind(data_, kind);
}

Storage::~Storage() {
  if (!owner_) cpu_free(data_);
}

}  // namespace trireme
