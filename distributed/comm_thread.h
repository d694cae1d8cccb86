// The queue of a communicator's collectives and the thread that runs them in start order.
//
// A caller that waits runs the front of the queue itself when the thread has not begun it, so a
// small collective that is waited for at once costs no switch of threads.

#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>

#include "distributed/transport.h"

namespace trireme {

class CommThread {
 public:
  explicit CommThread(Transport& transport) : transport_(transport) {}
  /// Ends what is running; whoever still waits gets CommError(kAborted).
  ~CommThread();
  CommThread(const CommThread&) = delete;

  /// Throws the error of an earlier collective, if there was one.
  WorkPtr start(const Collective& call);
  /// From now on start() throws `error`, as after a failed collective. The first error stays.
  void set_failed(std::exception_ptr error);
  void throw_if_failed();
  CommStats stats() const;
  /// Adds an operation that ran elsewhere (point to point), and a wait for one.
  void count_operation(int64_t bytes);
  void count_wait(double seconds);

 private:
  struct Item;

  void wait(Item& item);
  void wake();
  void run_front(std::unique_lock<std::mutex>& lock, Patience patience);
  void run_in_background();

  Transport& transport_;
  mutable std::mutex mutex_;
  std::condition_variable work_there_;  // for the thread
  std::condition_variable work_done_;   // for waiting callers

  // Guarded by mutex_.
  std::deque<std::shared_ptr<Item>> items_;
  bool running_ = false;  // someone runs the front
  bool wanted_ = false;   // the thread shall run what is queued
  bool stopping_ = false;
  std::exception_ptr failed_;
  CommStats stats_;
  std::thread thread_;
};

}  // namespace trireme
