// Loader: prepares batches on a thread of its own, ahead of the training step.

#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "core/data/dataset.h"
#include "core/data/sampler.h"

namespace trireme {

struct LoaderOptions {
  int64_t first_step = 0;  // where a resumed run goes on
  int capacity = 2;        // batches that may wait, ready; bounds the memory
};

/// One thread asks the sampler for the numbers of each step and the dataset for their batch, and
/// keeps up to `capacity` of them ready. next() is for one thread at a time. The destructor stops
/// the thread; it waits for at most the one batch in the making.
class Loader {
 public:
  /// Requires 0 <= first_step <= sampler->steps() and capacity >= 1.
  Loader(std::shared_ptr<const Dataset> dataset, std::shared_ptr<const Sampler> sampler,
         LoaderOptions options = {});
  ~Loader();
  Loader(const Loader&) = delete;

  /// The next step's batch, or nothing after the last step. An error of dataset or sampler is
  /// thrown here, after the batches that were made before it, and again by every later call.
  std::optional<Batch> next();

 private:
  void run();

  // Fixed after construction.
  std::shared_ptr<const Dataset> dataset_;
  std::shared_ptr<const Sampler> sampler_;
  LoaderOptions options_;

  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_.
  std::deque<Batch> ready_;
  std::exception_ptr error_;
  bool finished_ = false;  // the thread adds nothing more
  bool stop_ = false;      // the destructor runs

  std::thread thread_;  // last: it uses all of the above
};

}  // namespace trireme
