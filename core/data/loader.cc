#include "core/data/loader.h"

#include <algorithm>

#include "core/base/error.h"

namespace trireme {
namespace {

// So many tasks per thread and batch: the threads then end a batch at about the same time.
constexpr int64_t kTasksPerThread = 4;

}  // namespace

Loader::Loader(std::shared_ptr<const Dataset> dataset, std::shared_ptr<const Sampler> sampler,
               LoaderOptions options)
    : dataset_(std::move(dataset)),
      sampler_(std::move(sampler)),
      options_(options),
      next_step_(options.first_step),
      end_(sampler_->steps()) {
  require(options.threads >= 1, "loader", "threads must be at least 1, got ", options.threads);
  require(options.capacity >= 1, "loader", "capacity must be at least 1, got ", options.capacity);
  require(options.first_step >= 0 && options.first_step <= end_, "loader",
          "the first step must lie in [0, ", end_, "], got ", options.first_step);
  try {
    for (int i = 0; i < options.threads; ++i) threads_.emplace_back([this] { run(); });
  } catch (...) {
    stop();  // the threads that could be started
    throw;
  }
}

Loader::~Loader() { stop(); }

void Loader::stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  work_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

std::optional<Batch> Loader::next() {
  Lock lock(mutex_);
  ready_.wait(lock, [this] {
    return ahead_.empty() ? !opening_ && next_step_ >= end_ : ahead_.front().is_done();
  });
  if (ahead_.empty()) return std::nullopt;
  const auto& errors = ahead_.front().errors;
  if (!errors.empty()) {
    const auto first = std::min_element(errors.begin(), errors.end(),
                                        [](auto& a, auto& b) { return a.first < b.first; });
    std::rethrow_exception(first->second);
  }
  Batch batch = std::move(ahead_.front().batch);
  ahead_.pop_front();
  lock.unlock();
  work_.notify_one();  // there is room for another
  return batch;
}

void Loader::run() {
  Lock lock(mutex_);
  while (true) {
    Slot* slot = nullptr;
    work_.wait(lock, [&] { return stop_ || (slot = find_work()) || may_open(); });
    if (stop_) return;
    if (slot) {
      fill_some(*slot, lock);
    } else {
      open_batch(lock);
    }
  }
}

Loader::Slot* Loader::find_work() {
  const auto slot =
      std::find_if(ahead_.begin(), ahead_.end(), [](const Slot& s) { return s.has_work(); });
  return slot == ahead_.end() ? nullptr : &*slot;
}

bool Loader::may_open() const {
  return !opening_ && next_step_ < end_ && ahead_.size() < static_cast<size_t>(options_.capacity);
}

void Loader::open_batch(Lock& lock) {
  opening_ = true;  // one at a time, so that slots stand in order
  const int64_t step = next_step_++;
  lock.unlock();
  Slot slot = make_slot(step);
  lock.lock();
  opening_ = false;
  if (!slot.errors.empty()) end_ = step + 1;
  ahead_.push_back(std::move(slot));
  const Slot& opened = ahead_.back();
  if (opened.is_done()) ready_.notify_one();
  // One thread per task: this one takes the first, and another may look for the batch after it.
  const int64_t tasks = (opened.count() + opened.task_size - 1) / opened.task_size;
  for (int64_t i = 0; i < std::min<int64_t>(tasks, options_.threads); ++i) work_.notify_one();
}

Loader::Slot Loader::make_slot(int64_t step) const {
  Slot slot{.step = step, .indices = {}, .batch = {}};
  std::exception_ptr error;
  try {
    slot.indices = sampler_->indices(step);
    if (slot.count() > 0) slot.batch = dataset_->allocate(slot.count());
    const int64_t tasks = kTasksPerThread * options_.threads;
    slot.task_size = std::max(dataset_->grain(), (slot.count() + tasks - 1) / tasks);
  } catch (...) {
    error = std::current_exception();
  }
  if (error) slot.errors.emplace_back(0, error);
  return slot;
}

void Loader::fill_some(Slot& slot, Lock& lock) {
  int64_t place = slot.taken;
  const int64_t end = std::min(place + slot.task_size, slot.count());
  slot.taken = end;
  ++slot.threads_at_work;
  lock.unlock();
  std::exception_ptr error;
  try {
    const int64_t step = options_.augment ? slot.step : Dataset::kUnchanged;
    for (; place < end && !stop_; ++place) {
      dataset_->fill(slot.batch, place, slot.indices[static_cast<size_t>(place)], step);
    }
  } catch (...) {
    error = std::current_exception();
  }
  lock.lock();
  --slot.threads_at_work;
  // Samples are taken in order: those before this one have been taken and may still fail, so that
  // the error which next() throws does not depend on the threads.
  if (error) {
    slot.errors.emplace_back(place, error);
    end_ = std::min(end_, slot.step + 1);
  }
  if (slot.is_done()) ready_.notify_one();
}

}  // namespace trireme
