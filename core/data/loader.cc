#include "core/data/loader.h"

#include <utility>

#include "core/base/error.h"

namespace trireme {

Loader::Loader(std::shared_ptr<const Dataset> dataset, std::shared_ptr<const Sampler> sampler,
               LoaderOptions options)
    : dataset_(std::move(dataset)), sampler_(std::move(sampler)), options_(options) {
  require(options.capacity >= 1, "loader", "capacity must be at least 1, got ", options.capacity);
  require(options.first_step >= 0 && options.first_step <= sampler_->steps(), "loader",
          "the first step must lie in [0, ", sampler_->steps(), "], got ", options.first_step);
  thread_ = std::thread([this] { run(); });
}

Loader::~Loader() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Loader::run() {
  std::exception_ptr error;
  try {
    for (int64_t step = options_.first_step; step < sampler_->steps(); ++step) {
      Batch batch = dataset_->collate_for_step(sampler_->indices(step), step);
      std::unique_lock lock(mutex_);
      changed_.wait(
          lock, [this] { return stop_ || ready_.size() < static_cast<size_t>(options_.capacity); });
      if (stop_) return;
      ready_.push_back(std::move(batch));
      lock.unlock();
      changed_.notify_all();
    }
  } catch (...) {
    error = std::current_exception();
  }
  {
    const std::lock_guard lock(mutex_);
    error_ = error;
    finished_ = true;
  }
  changed_.notify_all();
}

std::optional<Batch> Loader::next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return finished_ || !ready_.empty(); });
  if (!ready_.empty()) {
    Batch batch = std::move(ready_.front());
    ready_.pop_front();
    lock.unlock();
    changed_.notify_all();
    return batch;
  }
  if (error_) std::rethrow_exception(error_);
  return std::nullopt;
}

}  // namespace trireme
