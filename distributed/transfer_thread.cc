#include "distributed/transfer_thread.h"

#include <algorithm>
#include <atomic>
#include <vector>

namespace trireme {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kYields = 200;  // rounds without progress before the thread sleeps between rounds
constexpr std::chrono::microseconds kNap{50};
constexpr std::chrono::milliseconds kCheckEvery{100};

}  // namespace

struct TransferThread::Item final : Work {
  Item(TransferThread& thread, std::unique_ptr<Transfer> work, int lane_of, int64_t size)
      : owner(thread), transfer(std::move(work)), lane(lane_of), bytes(size) {}

  void wait() override {
    if (!is_done()) {
      const auto start = Clock::now();
      std::unique_lock lock(owner.mutex_);
      owner.work_done_.wait(lock, [&] { return is_done(); });
      lock.unlock();
      owner.queue_.count_wait(std::chrono::duration<double>(Clock::now() - start).count());
    }
    if (error) std::rethrow_exception(error);
  }
  bool is_done() const override { return done.load(std::memory_order_acquire); }

  TransferThread& owner;  // not touched once done
  std::unique_ptr<Transfer> transfer;
  const int lane;
  const int64_t bytes;
  Clock::time_point last_progress = Clock::now();
  Clock::time_point last_check = last_progress;
  std::exception_ptr error;
  std::atomic<bool> done{false};
};

TransferThread::~TransferThread() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_there_.notify_all();
  if (thread_.joinable()) thread_.join();
}

WorkPtr TransferThread::start(std::unique_ptr<Transfer> transfer, int lane, int64_t bytes) {
  auto item = std::make_shared<Item>(*this, std::move(transfer), lane, bytes);
  {
    std::lock_guard lock(mutex_);
    started_.push_back(item);
    if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  }
  work_there_.notify_one();
  return item;
}

void TransferThread::finish(Item& item, std::exception_ptr error) {
  if (error) {
    queue_.set_failed(error);
  } else {
    queue_.count_operation(item.bytes);
  }
  {
    std::lock_guard lock(mutex_);
    item.transfer.reset();
    item.error = std::move(error);
    item.done.store(true, std::memory_order_release);
  }
  work_done_.notify_all();
}

bool TransferThread::advance_all(std::list<std::shared_ptr<Item>>& items) {
  bool moved = false;
  std::vector<int> busy_lanes;
  const auto now = Clock::now();
  for (auto it = items.begin(); it != items.end();) {
    Item& item = **it;
    if (std::find(busy_lanes.begin(), busy_lanes.end(), item.lane) != busy_lanes.end()) {
      item.last_progress = now;
      ++it;
      continue;
    }
    busy_lanes.push_back(item.lane);
    Transfer::Progress progress = Transfer::Progress::kNone;
    std::exception_ptr error;
    try {
      progress = item.transfer->advance();
      if (progress != Transfer::Progress::kNone) {
        moved = true;
        item.last_progress = now;
      } else if (now - item.last_check > kCheckEvery) {
        item.last_check = now;
        item.transfer->check_peer();
        if (now - item.last_progress > timeout_) {
          throw CommError(CommError::Kind::kTimeout,
                          concat(item.transfer->describe(), ": no progress for ", timeout_.count(),
                                 " ms; the peer has not called its side"));
        }
      }
    } catch (const std::exception&) {
      error = std::current_exception();
    }
    if (error || progress == Transfer::Progress::kDone) {
      finish(item, error);
      it = items.erase(it);
    } else {
      ++it;
    }
  }
  return moved;
}

void TransferThread::run() {
  std::list<std::shared_ptr<Item>> items;  // in start order
  int idle_rounds = 0;
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    items.splice(items.end(), started_);
    if (items.empty()) {
      work_there_.wait(lock);
      continue;
    }
    lock.unlock();
    idle_rounds = advance_all(items) ? 0 : idle_rounds + 1;
    if (idle_rounds > kYields) {
      std::this_thread::sleep_for(kNap);
    } else if (idle_rounds > 0) {
      std::this_thread::yield();
    }
    lock.lock();
  }
  items.splice(items.end(), started_);
  lock.unlock();
  for (const auto& item : items) {
    finish(*item, std::make_exception_ptr(CommError(CommError::Kind::kAborted,
                                                    "communicator: closed while a message was "
                                                    "still pending")));
  }
}

}  // namespace trireme
