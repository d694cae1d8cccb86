// What memory is for, and how much of it there is: the same on every device.

#pragma once

#include <array>
#include <cstdint>

namespace trireme {

/// What a block is for. Set for a scope by MemoryKindGuard; shown in metrics.
enum class MemoryKind : uint8_t {
  kOther,  // under no guard, and no tensor
  kParameters,
  kGradients,
  kOptimizer,
  kActivations,  // under no guard: a program needs none for what its ops make
  kCommunication,
  kWorkspace,
};
inline constexpr int kMemoryKinds = 7;
const char* name_of(MemoryKind kind);  // "parameters" and so on

namespace detail {
inline constinit thread_local MemoryKind memory_kind = MemoryKind::kOther;
}  // namespace detail

/// Blocks allocated by this thread while the guard lives are counted under `kind`.
class MemoryKindGuard {
 public:
  explicit MemoryKindGuard(MemoryKind kind) : previous_(detail::memory_kind) {
    detail::memory_kind = kind;
  }
  ~MemoryKindGuard() { detail::memory_kind = previous_; }
  MemoryKindGuard(const MemoryKindGuard&) = delete;

 private:
  MemoryKind previous_;
};

/// The kind that the innermost guard of this thread asks for.
inline MemoryKind current_memory_kind() { return detail::memory_kind; }

struct MemoryStats {
  std::array<int64_t, kMemoryKinds> allocated_bytes{};  // in use now, by kind
  int64_t total_allocated_bytes = 0;                    // sum of the above
  int64_t peak_allocated_bytes = 0;                     // most in use since the last reset_peak
  int64_t reserved_bytes = 0;                           // held from the system, in use or cached
};

}  // namespace trireme
