#include "distributed/comm_thread.h"

#include <chrono>

namespace trireme {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::exception_ptr closed_error() {
  return std::make_exception_ptr(CommError(
      CommError::Kind::kAborted, "communicator: closed while a collective was still pending"));
}

}  // namespace

struct CommThread::Item final : Work {
  Item(CommThread& owner, const Collective& collective) : queue(owner), call(collective) {}
  void wait() override {
    if (!done.load(std::memory_order_acquire)) queue.wait(*this);
    if (error) std::rethrow_exception(error);
  }
  bool is_done() const override {
    if (done.load(std::memory_order_acquire)) return true;
    queue.wake();
    return false;
  }

  CommThread& queue;  // not touched once done: the queue may be gone by then
  Collective call;
  bool posted = false;
  std::exception_ptr error;  // fixed before done is set
  std::atomic<bool> done{false};
};

CommThread::~CommThread() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  transport_.stop();
  work_there_.notify_all();
  if (thread_.joinable()) thread_.join();
  for (const auto& item : items_) {
    item->error = closed_error();
    item->done.store(true, std::memory_order_release);
  }
}

WorkPtr CommThread::start(const Collective& call) {
  auto item = std::make_shared<Item>(*this, call);
  bool wake_thread = false;
  {
    std::lock_guard lock(mutex_);
    if (failed_) std::rethrow_exception(failed_);
    bool can_be_left = false;
    if (items_.empty() && !running_) {
      can_be_left = transport_.post(call);
      item->posted = true;
    }
    items_.push_back(item);
    if (!can_be_left) {
      if (!thread_.joinable()) thread_ = std::thread([this] { run_in_background(); });
      wanted_ = wake_thread = true;
    }
  }
  if (wake_thread) work_there_.notify_one();
  return item;
}

void CommThread::wake() {
  std::lock_guard lock(mutex_);
  if (items_.empty() || running_) return;
  if (!thread_.joinable()) thread_ = std::thread([this] { run_in_background(); });
  wanted_ = true;
  work_there_.notify_one();
}

void CommThread::run_front(std::unique_lock<std::mutex>& lock, Patience patience) {
  const std::shared_ptr<Item> item = items_.front();
  running_ = true;
  lock.unlock();
  const auto start = Clock::now();
  std::exception_ptr error;
  bool is_internal = false;
  try {
    if (!item->posted) transport_.post(item->call);
    transport_.finish(item->call, patience);
  } catch (const CommError& failure) {
    // The peers know of a mismatch. Of anything else they may not; what they know already stays.
    if (failure.kind() != CommError::Kind::kMismatch) transport_.abort(failure.what());
    error = std::current_exception();
  } catch (const std::exception& other) {
    // The peers are waiting for this rank's part, which will not come.
    transport_.abort(other.what());
    error = std::current_exception();
    is_internal = true;
  }
  const double seconds = seconds_since(start);

  lock.lock();
  running_ = false;
  stats_.operations += 1;
  stats_.bytes += item->call.shape.bytes();
  stats_.busy_seconds += seconds;
  items_.pop_front();
  // What breaks inside after an abort is its consequence and must not hide the cause.
  if (is_internal && failed_) error = failed_;
  item->error = error;
  item->done.store(true, std::memory_order_release);
  if (error) {
    if (!failed_) failed_ = error;
    for (const auto& later : items_) {
      later->error = failed_;
      later->done.store(true, std::memory_order_release);
    }
    items_.clear();
  }
  if (items_.empty()) wanted_ = false;
  work_done_.notify_all();
}

void CommThread::wait(Item& item) {
  const auto start = Clock::now();
  bool wake_thread = false;
  {
    std::unique_lock lock(mutex_);
    while (!item.done.load(std::memory_order_acquire)) {
      if (running_) {
        work_done_.wait(lock);
      } else {
        run_front(lock, Patience::kCallerWaits);
      }
    }
    stats_.waited_seconds += seconds_since(start);
    wake_thread = wanted_ && !running_;
  }
  if (wake_thread) work_there_.notify_one();
}

void CommThread::run_in_background() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (wanted_ && !running_ && !items_.empty()) {
      run_front(lock, Patience::kBackground);
    } else {
      work_there_.wait(lock);
    }
  }
}

void CommThread::set_failed(std::exception_ptr error) {
  std::lock_guard lock(mutex_);
  if (!failed_) failed_ = std::move(error);
}

void CommThread::throw_if_failed() {
  std::lock_guard lock(mutex_);
  if (failed_) std::rethrow_exception(failed_);
}

CommStats CommThread::stats() const {
  std::lock_guard lock(mutex_);
  return stats_;
}

void CommThread::count_operation(int64_t bytes) {
  std::lock_guard lock(mutex_);
  stats_.operations += 1;
  stats_.bytes += bytes;
}

void CommThread::count_wait(double seconds) {
  std::lock_guard lock(mutex_);
  stats_.waited_seconds += seconds;
}

}  // namespace trireme
