// Runs point-to-point messages beside the collectives, several at a time, so that crossing sends
// and receives cannot block each other.

#pragma once

#include <chrono>
#include <condition_variable>
#include <list>
#include <memory>
#include <mutex>
#include <thread>

#include "distributed/comm_thread.h"
#include "distributed/transport.h"

namespace trireme {

class TransferThread {
 public:
  /// Results and errors are counted in `queue`, which must outlive this.
  TransferThread(CommThread& queue, std::chrono::milliseconds timeout)
      : queue_(queue), timeout_(timeout) {}
  /// Whoever still waits gets CommError(kAborted).
  ~TransferThread();
  TransferThread(const TransferThread&) = delete;

  /// Transfers of the same `lane` (a peer and a direction) advance one after another.
  WorkPtr start(std::unique_ptr<Transfer> transfer, int lane, int64_t bytes);

 private:
  struct Item;

  void run();
  /// One round over all items; true if something moved.
  bool advance_all(std::list<std::shared_ptr<Item>>& items);
  void finish(Item& item, std::exception_ptr error);

  CommThread& queue_;
  const std::chrono::milliseconds timeout_;
  std::mutex mutex_;
  std::condition_variable work_there_;
  std::condition_variable work_done_;

  // Guarded by mutex_.
  std::list<std::shared_ptr<Item>> started_;  // not yet taken over by the thread
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace trireme
