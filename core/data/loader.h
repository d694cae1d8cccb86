// Loader: prepares batches on threads of its own, ahead of the training step.

#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "core/data/dataset.h"
#include "core/data/sampler.h"

namespace trireme {

struct LoaderOptions {
  int64_t first_step = 0;  // where a resumed run goes on
  int threads = 1;
  bool augment = true;  // samples changed at random as training wants them; false for validation
  int capacity = 3;     // batches ahead of next(), ready or in the making; bounds the memory
};

/// Threads share the samples of each batch among them, the oldest batch first: a batch of slow
/// samples (photographs that must be decoded) is ready as early as possible, and no more batches
/// than `capacity` are in memory however many threads there are. Batches come in order and have the
/// same bits for any number of threads.
///
/// next() is for one thread at a time. The destructor stops the threads; it waits for at most the
/// one sample that each of them is making. A thread without work sleeps.
class Loader {
 public:
  /// Requires 0 <= first_step <= sampler->steps(), threads >= 1 and capacity >= 1.
  Loader(std::shared_ptr<const Dataset> dataset, std::shared_ptr<const Sampler> sampler,
         LoaderOptions options = {});
  ~Loader();
  Loader(const Loader&) = delete;

  /// The next step's batch, or nothing after the last step. An error of dataset or sampler is
  /// thrown here, at the turn of the batch that it belongs to (of several, that of the sample which
  /// stands first), and again by every later call.
  std::optional<Batch> next();

 private:
  /// A batch that is ahead of next().
  struct Slot {
    // Fixed once the slot is in ahead_.
    int64_t step = 0;
    std::vector<int64_t> indices;
    Batch batch;
    int64_t task_size = 1;  // samples that a thread takes at a time
    // Guarded by mutex_.
    int64_t taken = 0;        // samples that threads have taken
    int threads_at_work = 0;  // on samples of this batch
    std::vector<std::pair<int64_t, std::exception_ptr>> errors = {};  // by place

    bool has_work() const { return errors.empty() && taken < count(); }
    bool is_done() const { return threads_at_work == 0 && !has_work(); }
    int64_t count() const { return static_cast<int64_t>(indices.size()); }
  };
  using Lock = std::unique_lock<std::mutex>;

  void run();
  Slot* find_work();
  bool may_open() const;
  void open_batch(Lock& lock);
  Slot make_slot(int64_t step) const;
  void fill_some(Slot& slot, Lock& lock);
  void stop();

  // Fixed after construction.
  std::shared_ptr<const Dataset> dataset_;
  std::shared_ptr<const Sampler> sampler_;
  LoaderOptions options_;

  std::mutex mutex_;
  std::condition_variable work_;   // for the threads: there is more to do
  std::condition_variable ready_;  // for next(): a batch is done, or none will come
  // Guarded by mutex_.
  std::deque<Slot> ahead_;  // by step; a slot stays in place until next() has taken it
  int64_t next_step_;       // that no thread has begun
  int64_t end_;             // no batch from this step on
  bool opening_ = false;    // a thread asks the sampler for the next batch

  std::atomic<bool> stop_ = false;    // the destructor runs; written under mutex_
  std::vector<std::thread> threads_;  // last: they use all of the above
};

}  // namespace trireme
