// NcclWatch: the thread that looks after the collectives under way, so that nothing waits for ever.
//
// It ends the communicator when NCCL reports an error by itself, when a collective is not done
// `timeout` after it could have begun (what its caller's stream and the collectives before it had
// to do first does not count), when a call into NCCL does not return, or when asked to. A replay of
// a captured step is looked after as one collective, which its computation belongs to. Failing
// means: every later call throws the cause, the kernels are ended, and the peers learn of it
// through the host communicator.
//
// Threads: any.

#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "distributed/nccl_connection.h"
#include "distributed/nccl_work.h"

namespace trireme {

class NcclWatch {
 public:
  /// `host` (may be null) hears of failures and knows who has arrived. Both must outlive this.
  NcclWatch(NcclConnection& connection, const NcclOptions& options, Communicator* host);
  ~NcclWatch();
  NcclWatch(const NcclWatch&) = delete;

  /// Takes over a launched work; number `number` is the last collective in it.
  void add(std::shared_ptr<NcclWork> work, uint64_t number);
  /// From any thread, does not wait: fails the communicator soon.
  void ask_to_fail(std::exception_ptr error) noexcept;
  /// Waits on the host until everything added so far is done and its buffers are given up. Throws
  /// the failure.
  void wait_until_idle();
  /// Looks at nothing any more; afterwards nobody but the caller uses the connection.
  void stop() noexcept;

 private:
  struct Entry {
    std::shared_ptr<NcclWork> work;
    uint64_t number = 0;
    std::optional<NcclConnection::Clock::time_point> could_begin = {};
  };

  void run();
  void look();
  void retire_done();
  void check_deadlines();
  void fail(std::exception_ptr error) noexcept;
  std::string arrivals(uint64_t number) const;

  NcclConnection& connection_;
  const NcclOptions options_;
  Communicator* const host_;

  std::mutex mutex_;
  std::condition_variable wake_;     // of the thread
  std::condition_variable changed_;  // something was retired, or failed

  // Guarded by mutex_.
  std::deque<Entry> entries_;
  int retiring_ = 0;         // threads that drop what they took out of entries_
  std::exception_ptr wish_;  // to fail with
  bool stopping_ = false;
  bool ended_ = false;  // the failure has been dealt with
  std::thread thread_;
};

}  // namespace trireme
