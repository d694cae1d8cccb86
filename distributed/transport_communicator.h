// The Communicator over any Transport: argument checks, asynchrony, statistics.

#pragma once

#include <memory>

#include "distributed/comm_thread.h"
#include "distributed/communicator.h"
#include "distributed/transfer_thread.h"
#include "distributed/transport.h"

namespace trireme {

/// With world_size 1 nothing is asked of the transport: every operation is done when it returns.
class TransportCommunicator final : public Communicator {
 public:
  TransportCommunicator(std::unique_ptr<Transport> transport, int rank, int world_size,
                        const CommOptions& options);
  ~TransportCommunicator() override;

  const char* backend() const override { return transport_->name(); }
  int rank() const override { return rank_; }
  int world_size() const override { return world_size_; }

  WorkPtr all_reduce(void* data, int64_t count, DType dtype, ReduceOp op) override;
  WorkPtr reduce_scatter(const void* in, void* out, int64_t count, DType dtype,
                         ReduceOp op) override;
  WorkPtr all_gather(const void* in, void* out, int64_t bytes) override;
  WorkPtr broadcast(void* data, int64_t bytes, int root) override;
  void barrier() override;
  WorkPtr send(const void* data, int64_t bytes, int to) override;
  WorkPtr recv(void* data, int64_t bytes, int from) override;
  std::shared_ptr<void> allocate(int64_t bytes) override;
  void abort(const std::string& reason) noexcept override;
  void check() override;
  void set_progress(uint64_t number) override { transport_->set_progress(number); }
  std::vector<uint64_t> progress() const override { return transport_->progress(); }
  CommStats stats() const override { return collectives_.stats(); }

 private:
  WorkPtr start(const Collective& call);
  void check_peer(const char* op, int peer) const;

  const int rank_;
  const int world_size_;
  const std::unique_ptr<Transport> transport_;
  CommThread collectives_;
  TransferThread transfers_;
};

}  // namespace trireme
