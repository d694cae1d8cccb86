// Zeroed private memory for backends without shared memory.

#pragma once

#include <cstdint>
#include <memory>

namespace trireme {

/// `bytes` zeroed bytes, aligned to 64 (a null pointer never; zero bytes give a valid address).
/// Throws CommError(kSystem) when the system has no memory left.
std::shared_ptr<void> allocate_pages(int64_t bytes);

}  // namespace trireme
