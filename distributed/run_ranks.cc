#include "distributed/run_ranks.h"

#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "distributed/device_communicator.h"
#include "distributed/device_of_rank.h"
#include "distributed/local_communicator.h"

namespace trireme {
namespace {

/// Keeps the first error, unless that one only reports another rank's abort.
class FirstError {
 public:
  void add(std::exception_ptr error, bool is_consequence) {
    std::lock_guard lock(mutex_);
    if (error_ && (!only_consequence_ || is_consequence)) return;
    replaced_ = std::exchange(error_, std::move(error));
    only_consequence_ = is_consequence;
  }
  void rethrow_if_any() {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::mutex mutex_;
  std::exception_ptr error_;
  std::exception_ptr replaced_;  // lives as long as the thread that may still be reading its text
  bool only_consequence_ = false;
};

using RankMain = std::function<void(Communicator&)>;

void run_one(Communicator& communicator, const RankMain& rank_main, FirstError& first_error) {
  try {
    rank_main(communicator);
    communicator.close();
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

// `make` turns a rank's host communicator into its own, on the rank's thread. What it throws it has
// told the other ranks.
using Make = std::function<std::unique_ptr<Communicator>(std::unique_ptr<Communicator> host)>;

void run_all(int world_size, const RankMain& rank_main, const CommOptions& options,
             const Make& make) {
  auto hosts = make_local_communicators(world_size, options);
  FirstError first_error;
  std::vector<std::thread> threads;
  for (auto& host : hosts) {
    threads.emplace_back([&rank_main, &first_error, &make, &host] {
      std::unique_ptr<Communicator> communicator;
      try {
        communicator = make(std::move(host));
      } catch (const CommError& error) {
        first_error.add(std::current_exception(), error.kind() == CommError::Kind::kAborted);
      } catch (const std::exception&) {
        first_error.add(std::current_exception(), false);
      }
      if (communicator) run_one(*communicator, rank_main, first_error);
      // A rank that is done must not be waited for: its communicator ends here.
    });
  }
  for (std::thread& thread : threads) thread.join();
  first_error.rethrow_if_any();
}

}  // namespace

void run_ranks(int world_size, const RankMain& rank_main, const CommOptions& options) {
  run_all(world_size, rank_main, options, [](std::unique_ptr<Communicator> host) { return host; });
}

void run_ranks(int world_size, DeviceType device, const RankMain& rank_main,
               const CommOptions& options, const NcclOptions& nccl) {
  if (device == DeviceType::kCpu) return run_ranks(world_size, rank_main, options);
  require_device_per_thread(world_size);  // before any thread starts
  run_all(world_size, rank_main, options, [&](std::unique_ptr<Communicator> host) {
    const Device own{DeviceType::kCuda, static_cast<int8_t>(host->rank())};
    return make_device_communicator(std::move(host), own, nccl, options);
  });
}

}  // namespace trireme
