// Board: the few cache lines through which ranks that share memory announce collectives, wait for
// each other and learn of failures. The ranks may be threads or processes.
//
// A collective has stages. A rank that has done its part of a stage calls arrive(); wait_all()
// returns when every rank has arrived there. Call records and small payloads exist twice and
// alternate, so a rank may begin the next collective while others still read the last one.
//
// wait_all() watches for a recorded fault, for peers whose process is gone or which have left, and
// for the deadline. The first failure is recorded, and every rank throws that same one.

#pragma once

#include <atomic>
#include <chrono>
#include <span>
#include <string>
#include <vector>

#include "distributed/collective.h"
#include "distributed/peer_memory.h"
#include "distributed/process_identity.h"
#include "distributed/transport.h"

namespace trireme {

inline constexpr int64_t kSmallBytes = 4096;  // a payload up to this travels with the call record

/// A call as the others see it.
struct CallRecord {
  CallShape shape;
  Address input;  // where the caller's input lies, if others can see it
};

class Board {
 public:
  /// Size of the shared memory behind a board.
  static int64_t bytes_for(int world_size);
  /// Makes memory of that size a board for these processes, one per rank. Done once, by one rank,
  /// before anyone attaches.
  static void format(void* memory, std::span<const ProcessIdentity> processes);

  /// Attaches; `memory` must outlive this.
  Board(void* memory, int rank, int world_size, std::chrono::milliseconds timeout);
  Board(const Board&) = delete;

  int rank() const { return rank_; }
  int world_size() const { return world_size_; }

  /// Begins this rank's next collective: fills its record. Follow with small() and arrive().
  void begin(const CallRecord& record);
  /// A rank's record and small payload for the current collective. Others': after wait_all().
  const CallRecord& call_of(int rank) const;
  std::byte* small(int rank) const;
  std::string describe_current() const;

  void arrive();
  void wait_all(Patience patience);
  /// After the first wait_all(): throws CommError(kMismatch) unless all ranks called the same, and
  /// any fault that was recorded before all had arrived.
  void check_same_call();

  /// Any thread. The first fault stays; all waiting ranks wake up and throw it.
  void record_fault(CommError::Kind kind, const std::string& text) noexcept;
  void throw_if_fault(const std::string& during) const;
  /// Any thread. Records and throws if `peer` has left or its process is gone.
  void check_peer(int peer, const std::string& during);
  /// Any thread: this rank takes part no longer; its own wait_all() throws.
  void leave() noexcept;

  /// A number of this rank's for the others to read. Any thread.
  void set_progress(uint64_t number);
  std::vector<uint64_t> progress() const;  // of every rank

  /// While it exists, this rank touches buffers of others. Throws, as wait_all() does, if one of
  /// them may have given its buffer up: after a fault, or when a rank has left.
  class Visit {
   public:
    explicit Visit(Board& board);
    ~Visit();
    Visit(const Visit&) = delete;

   private:
    Board& board_;
  };
  /// Any thread, after a fault or leave(): waits until no other rank is on a visit, which it will
  /// not begin again. At most 10 s, so that nothing hangs on a rank that is stuck.
  void wait_for_visitors() noexcept;

 private:
  struct Fault;
  struct Slot;

  Slot& slot(int rank) const;
  Fault& fault() const { return *fault_; }
  bool has_all_arrived() const;
  void sleep_until_rung();
  void ring_all() noexcept;
  /// Looks at those who are missing; `thorough` also asks the system whether they live.
  void check_missing(bool thorough);
  [[noreturn]] void throw_timeout();
  std::string arrivals() const;

  Fault* fault_;
  std::byte* slots_;
  const int rank_;
  const int world_size_;
  const std::chrono::milliseconds timeout_;
  const bool oversubscribed_;
  std::atomic<bool> left_{false};
  uint64_t stage_ = 0;   // stages this rank has arrived at
  uint64_t number_ = 0;  // of the current collective, from 1
};

}  // namespace trireme
