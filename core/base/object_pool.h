// Memory of small, short-lived objects (tensor handles, storages, graph nodes).
//
// Every op makes a few of them, and the general allocator costs more than a tiny op's arithmetic.
// Freed blocks are kept per thread and size and given out again without locking. A block may be
// freed by another thread than the one that took it. Under AddressSanitizer the pool is off, so
// that it sees every use after free.

#pragma once

#include <cstddef>

namespace trireme {

/// At least `bytes` bytes, aligned to 16. Throws std::bad_alloc.
void* pool_allocate(size_t bytes);
/// `bytes` as given to pool_allocate.
void pool_free(void* block, size_t bytes) noexcept;

}  // namespace trireme
