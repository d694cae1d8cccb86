// The `nccl` backend: collectives of device buffers.
//
// Collectives run on a high-priority stream of the communicator's own. Starting one makes that
// stream wait for what the calling thread's current stream has been given so far, and Work::wait()
// makes the current stream wait for the collective: the host waits for nothing. So a buffer may be
// given to a collective as soon as the kernels that fill it are queued, and used again on the
// current stream after wait(). Whoever frees a buffer does so after wait(), on that stream; memory
// from allocate() is kept until the last collective that uses it is done.
//
// While a step is captured (core/cuda/graph.h) collectives become part of its graph, which keeps
// their buffers. A replay takes its place behind what was started here before and has the deadline
// of one collective, from when it could begin; its computation counts. All ranks capture the same
// collectives and replay them in the same place: what differs is not found out but by a deadline. A
// communicator that is closed or fails ends the graphs that hold its collectives; their next
// replay() throws.
//
// A communicator for buffers in host memory comes with it (host()): control traffic goes there, and
// through it ranks meet. Errors that NCCL finds by itself and deadlines that pass are noticed by a
// thread (nccl_watch.h); they are thrown by the next call here, and on the peers by the next call
// of host(). Averages: nccl_average.h.

#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "core/base/device.h"
#include "core/cuda/stream.h"
#include "distributed/collective.h"
#include "distributed/communicator.h"
#include "distributed/nccl_average.h"
#include "distributed/nccl_connection.h"
#include "distributed/nccl_memory.h"
#include "distributed/nccl_watch.h"

namespace trireme {

class NcclCommunicator final : public Communicator {
 public:
  /// Of a connection that is made. `host` may be null: then host() is an error.
  NcclCommunicator(std::shared_ptr<NcclConnection> connection, std::unique_ptr<Communicator> host,
                   const NcclOptions& options);
  /// Without close(): aborts, so what is under way is lost. Waits for no peer.
  ~NcclCommunicator() override;

  const char* backend() const override { return "nccl"; }
  int rank() const override { return place_.rank; }
  int world_size() const override { return place_.world_size; }
  Device device() const override { return {DeviceType::kCuda, static_cast<int8_t>(place_.device)}; }
  Communicator& host() override;

  WorkPtr all_reduce(void* data, int64_t count, DType dtype, ReduceOp op) override;
  WorkPtr reduce_scatter(const void* in, void* out, int64_t count, DType dtype,
                         ReduceOp op) override;
  WorkPtr all_gather(const void* in, void* out, int64_t bytes) override;
  WorkPtr broadcast(void* data, int64_t bytes, int root) override;
  /// Waits on the host until every collective started here is done, and then for the other ranks.
  void barrier() override;
  /// A send and a receive that wait for each other belong into one run_grouped.
  WorkPtr send(const void* data, int64_t bytes, int to) override;
  WorkPtr recv(void* data, int64_t bytes, int from) override;
  void run_grouped(const std::function<void()>& calls) override;

  std::shared_ptr<void> allocate(int64_t bytes) override { return memory_.allocate(bytes); }
  void abort(const std::string& reason) noexcept override;
  void check() override { connection_->throw_if_failed(); }
  void close() override;
  CommStats stats() const override;

  /// Collective: a communicator of the ranks that give the same `color` >= 0, ordered by `key`;
  /// null for a negative color. It has no host(). Nothing may be under way.
  std::unique_ptr<NcclCommunicator> split(int color, int key);

 private:
  class Replay;

  /// One call into NCCL, and what comes behind it on the stream.
  struct Operation {
    CallShape shape;
    std::string description;
    const void* in = nullptr;
    void* out = nullptr;
    int peer = -1;  // of send (in) and recv (out)
    AveragePlan average = {};
  };

  WorkPtr start(Operation operation);
  void launch(const std::vector<Operation>& operations, NcclWork& work);
  void check_launch(const NcclWork& work);
  void count(int64_t operations, int64_t bytes);
  void add_to_captured_step(const std::vector<Operation>& operations, const NcclWork& work);
  ncclResult_t enqueue(const Operation& operation, ncclComm_t comm);
  ncclResult_t enqueue_peer(const Operation& operation, ncclComm_t comm);
  void make_reduction(const Operation& operation);
  ncclRedOp_t reduction_of(const Operation& operation) const;
  void finish_average(const Operation& operation);
  void check_peer(const char* op, int peer) const;

  const NcclPlace place_;
  const NcclOptions options_;
  const std::unique_ptr<Communicator> host_;
  const std::shared_ptr<NcclConnection> connection_;
  cuda::Stream stream_;
  NcclMemory memory_;
  std::optional<ncclRedOp_t> pre_scaled_[2];  // of bf16 and f16, made when first needed

  // Of the thread that starts collectives.
  std::vector<Operation>* group_ = nullptr;
  std::shared_ptr<NcclWork> group_work_;
  uint64_t number_ = 0;             // of collectives, replayed ones too
  std::weak_ptr<Replay> captured_;  // what the last captured step holds

  mutable std::mutex stats_mutex_;
  CommStats stats_;  // guarded by stats_mutex_

  NcclWatch watch_;  // last: its thread uses the others
};

}  // namespace trireme
