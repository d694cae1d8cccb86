// Caching CPU allocator with statistics by kind.
//
// Freed blocks are kept and given out again: a training step asks for the same sizes over and over,
// and a fresh large block costs page faults that are dearer than the kernel that fills it. Small
// blocks (up to 2 KiB) come from a list of the calling thread without locking; larger ones from one
// list per size class under a mutex. What is kept never exceeds the most that was in use at one
// time. Blocks are aligned to 64 bytes. Thread-safe; a block may be freed by another thread than
// the one that asked for it. Under AddressSanitizer nothing is kept, and blocks have their exact
// size.

#pragma once

#include <cstddef>
#include <cstdint>

#include "core/base/device.h"
#include "core/base/memory_kind.h"

namespace trireme {

/// At least `bytes` bytes. Throws Error that shows the request and the statistics when the system
/// has no memory left.
void* cpu_allocate(size_t bytes);
void cpu_free(void* block) noexcept;

/// Counts a live block from cpu_allocate under another kind from now on.
void set_memory_kind(void* block, MemoryKind kind);

/// Counts memory that Trireme uses but did not get from cpu_allocate (shared gradient buckets).
/// Negative bytes uncount it.
void count_external_bytes(MemoryKind kind, int64_t bytes);

/// Small blocks of other threads are counted with a delay of at most 64 KiB per thread and kind.
MemoryStats memory_stats();
void reset_peak_memory();
/// Gives cached blocks of the shared lists back to the system.
void release_cached_memory();

/// The same for the memory of any device; of a CUDA device, see core/cuda/memory.h.
MemoryStats memory_stats(Device device);
void reset_peak_memory(Device device);
void release_cached_memory(Device device);

}  // namespace trireme
