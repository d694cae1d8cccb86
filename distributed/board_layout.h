// The bytes of a Board, as they lie in memory that the ranks share.

#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "distributed/board.h"

namespace trireme {

struct alignas(64) Board::Fault {
  enum State : uint32_t { kNone, kWriting, kRecorded };
  std::atomic<uint32_t> state{kNone};
  CommError::Kind kind{};
  char text[1024] = {};
};

/// One per rank. What others poll and what they write lie on different cache lines.
struct alignas(64) Board::Slot {
  std::atomic<uint64_t> arrived{0};  // stages
  std::atomic<uint64_t> number{0};   // of the collective this rank is in
  std::atomic<bool> left{false};
  std::atomic<uint64_t> progress{0};  // Communicator::set_progress
  ProcessIdentity process;

  alignas(64) std::atomic<uint32_t> bell{0};  // futex word on which the rank sleeps
  std::atomic<uint32_t> sleepers{0};

  alignas(64) std::atomic<bool> visiting{false};  // touches others' buffers

  alignas(64) CallRecord calls[2];
  alignas(64) std::byte small[2][kSmallBytes];
};

}  // namespace trireme
