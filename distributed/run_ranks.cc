#include "distributed/run_ranks.h"

#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "distributed/local_communicator.h"

namespace trireme {
namespace {

/// Keeps the first error, unless that one only reports another rank's abort.
class FirstError {
 public:
  void add(std::exception_ptr error, bool is_consequence) {
    std::lock_guard lock(mutex_);
    if (error_ && (!only_consequence_ || is_consequence)) return;
    error_ = std::move(error);
    only_consequence_ = is_consequence;
  }
  void rethrow_if_any() {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::mutex mutex_;
  std::exception_ptr error_;
  bool only_consequence_ = false;
};

void run_one(Communicator& communicator, const std::function<void(Communicator&)>& rank_main,
             FirstError& first_error) {
  try {
    rank_main(communicator);
  } catch (const CommError& error) {
    first_error.add(std::current_exception(), error.kind() == CommError::Kind::kAborted);
    communicator.abort(error.what());
  } catch (const std::exception& error) {
    first_error.add(std::current_exception(), false);
    communicator.abort(error.what());
  } catch (...) {
    first_error.add(std::current_exception(), false);
    communicator.abort("unknown error");
  }
}

}  // namespace

void run_ranks(int world_size, const std::function<void(Communicator&)>& rank_main,
               const CommOptions& options) {
  auto communicators = make_local_communicators(world_size, options);
  FirstError first_error;
  std::vector<std::thread> threads;
  for (auto& communicator : communicators) {
    threads.emplace_back([&rank_main, &first_error, &communicator] {
      run_one(*communicator, rank_main, first_error);
      // A rank that is done must not be waited for.
      communicator.reset();
    });
  }
  for (std::thread& thread : threads) thread.join();
  first_error.rethrow_if_any();
}

}  // namespace trireme
