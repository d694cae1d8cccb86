// Point-to-point messages through memory that the ranks share: one byte stream per ordered pair of
// ranks, a ring of kMailboxBytes between them. A message is its length, then its bytes.

#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "distributed/board.h"
#include "distributed/transport.h"

namespace trireme {

inline constexpr int64_t kMailboxBytes = 32 << 10;

/// Positions count bytes since the start; the ring holds written - read of them.
struct alignas(64) Mailbox {
  std::atomic<uint64_t> written{0};
  alignas(64) std::atomic<uint64_t> read{0};
  alignas(64) std::byte ring[kMailboxBytes];
};

class Mailboxes {
 public:
  static int64_t bytes_for(int world_size);
  /// Makes zeroed memory of that size a set of mailboxes; untouched rings cost no memory.
  static void format(void* memory, int world_size);

  /// Both must outlive this and its transfers.
  Mailboxes(void* memory, Board& board);

  std::unique_ptr<Transfer> start_send(const void* data, int64_t bytes, int to);
  std::unique_ptr<Transfer> start_recv(void* data, int64_t bytes, int from);

 private:
  Mailbox& box(int from, int to) const;

  std::byte* memory_;
  Board& board_;
};

}  // namespace trireme
