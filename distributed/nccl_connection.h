// NcclConnection: one ncclComm_t, called by one thread at a time, and how it ends.
//
// The communicator is in NCCL's non-blocking mode: a call may return "in progress", and is then
// awaited here with the deadline. The first failure is kept; from then on every call throws it.
// A failure aborts the communicator, which ends its kernels on the GPU, in a thread of its own,
// because an abort can hang: after `abort_timeout` it is left behind.
//
// NCCL ends no communicator, not even by an abort, while there are graphs that hold its
// collectives. So abort() and close() end those first.
//
// Threads: any.

#pragma once

#include <atomic>
#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/cuda/graph_exec.h"
#include "distributed/nccl_api.h"
#include "distributed/nccl_options.h"

namespace trireme {

struct NcclPlace {
  int rank = 0;
  int world_size = 1;
  int device = 0;
};

class NcclConnection {
 public:
  using Call = std::function<ncclResult_t(ncclComm_t)>;
  using Clock = std::chrono::steady_clock;

  /// Not connected yet: follow with connect().
  NcclConnection(const NcclPlace& place, const NcclOptions& options,
                 std::chrono::milliseconds timeout);
  /// Aborts unless close() has run. Never throws, waits for no peer.
  ~NcclConnection();
  NcclConnection(const NcclConnection&) = delete;

  const NcclPlace& place() const { return place_; }
  const NcclApi& api() const { return api_; }
  std::chrono::milliseconds timeout() const { return timeout_; }

  /// Collective: `begin` starts to make the communicator (ncclCommInitRankConfig, ncclCommSplit)
  /// with the configuration it is given. Waits until it is there. Throws CommError.
  void connect(const char* call,
               const std::function<ncclResult_t(ncclComm_t*, ncclConfig_t*)>& begin);
  /// False before connect(), after close() and after an abort.
  bool is_connected() const { return is_connected_.load(std::memory_order_acquire); }
  /// Asks NCCL for rank and world size: of a communicator made by ncclCommSplit.
  void learn_place();

  /// Makes a call and waits until NCCL has accepted it (not: until the GPU has done it). Throws the
  /// first failure. What fails here fails the connection.
  void call(const char* name, const Call& call);

  /// A captured step from now on holds collectives of this connection.
  void add_graph(const std::shared_ptr<cuda::GraphExec>& graph);
  /// Ends them all: afterwards they are not replayed. Waits for a launch in progress.
  void end_graphs() noexcept;

  /// What NCCL found out by itself: throws it, and does nothing while another thread is in call().
  void check_asynchronous();
  /// Time since the call in progress was made, 0 if there is none; and its name.
  std::chrono::milliseconds call_in_progress(const char** name) const;

  bool has_failed() const { return failed_flag_.load(std::memory_order_acquire); }
  void throw_if_failed() const;
  /// Keeps `error` unless one is there already, in which case false. Does not abort.
  bool set_failed(std::exception_ptr error);
  /// The owner is about to abort: whoever waits for work of the GPU, which only that may end, stops
  /// waiting as long as this holds.
  void set_ending(bool ending) { ending_.store(ending, std::memory_order_release); }
  bool is_ending() const { return ending_.load(std::memory_order_acquire); }
  /// Ends the communicator's kernels and frees it. False if that hung.
  bool abort() noexcept;
  /// Collective, once nothing is under way: a clean end, after which call() throws. Throws
  /// CommError.
  void close();

 private:
  ncclConfig_t config() const;
  ncclResult_t settle(const char* name, ncclResult_t result, std::unique_lock<std::mutex>&);
  CommError late(const char* name) const;
  std::vector<std::weak_ptr<cuda::GraphExec>> take_graphs();

  NcclPlace place_;
  const NcclOptions options_;
  const std::chrono::milliseconds timeout_;
  const NcclApi& api_;

  std::mutex callers_;         // held for the whole of call()
  std::mutex calling_;         // held while NCCL is called with comm_
  ncclComm_t comm_ = nullptr;  // guarded by calling_; abort() may have to go without
  std::atomic<bool> is_connected_{false};
  std::atomic<const char*> call_name_{nullptr};
  std::atomic<Clock::time_point> call_begin_{};

  std::mutex graphs_mutex_;
  std::vector<std::weak_ptr<cuda::GraphExec>> graphs_;  // guarded by graphs_mutex_

  mutable std::mutex failure_mutex_;
  std::exception_ptr failed_;  // guarded by failure_mutex_
  std::atomic<bool> failed_flag_{false};
  std::atomic<bool> ending_{false};
};

/// "rank 1 on node-a".
std::string describe(const NcclPlace& place);

}  // namespace trireme
