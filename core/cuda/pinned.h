// Page-locked host memory, with which copies to and from a device run beside the host.

#pragma once

#include <cstdint>
#include <memory>

#include "core/base/device_tag.h"

namespace trireme::cuda {

/// At least `bytes` bytes. Cached by size: returns to the cache with the last pointer. Throws
/// OutOfMemory where the system locks no more pages. Thread-safe.
std::shared_ptr<void> allocate_pinned(int64_t bytes);

/// Keeps `buffer` until the work queued on device.stream so far is done: for the source of an
/// asynchronous copy of `bytes`. Waits only where copies of more than 1 GiB are under way, for the
/// oldest. Where that fails the buffer is abandoned.
void keep_until_done(Cuda device, std::shared_ptr<void> buffer, int64_t bytes);

/// Never uses the buffer again: a queued copy may, and nobody can tell until when.
void abandon_pinned(std::shared_ptr<void> buffer);

/// Bytes of pinned memory of this process, in use or cached.
int64_t pinned_bytes();

}  // namespace trireme::cuda
