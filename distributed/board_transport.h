// Collectives of ranks that share memory. Threads and processes differ only in PeerMemory.
//
// All-reduce: each rank owns a slice of the elements, reduces it over all ranks' buffers in rank
// order and writes the result into all of them; so each rank reads and writes every byte of one
// buffer once, whatever the number of ranks. Buffers that others cannot see pass through a staging
// area in chunks. Payloads up to kSmallBytes travel with the call record and need one stage only.

#pragma once

#include <memory>
#include <vector>

#include "distributed/board.h"
#include "distributed/combine.h"
#include "distributed/mailbox.h"
#include "distributed/transport.h"

namespace trireme {

/// The memory that ranks share from the start: a Board, then Mailboxes.
struct BoardMemory {
  static int64_t bytes_for(int world_size);
  static void format(void* memory, std::span<const ProcessIdentity> processes);
};

class BoardTransport final : public Transport {
 public:
  /// `shared` is BoardMemory; it is kept alive as long as this.
  BoardTransport(const char* name, std::shared_ptr<void> shared, std::unique_ptr<PeerMemory> peers,
                 int rank, int world_size, std::chrono::milliseconds timeout);

  const char* name() const override { return name_; }
  bool post(const Collective& call) override;
  void finish(const Collective& call, Patience patience) override;
  std::unique_ptr<Transfer> start_send(const void* data, int64_t bytes, int to) override;
  std::unique_ptr<Transfer> start_recv(void* data, int64_t bytes, int from) override;
  void abort(const std::string& reason) noexcept override;
  void check() override { board_.throw_if_fault("between collectives"); }
  void set_progress(uint64_t number) override { board_.set_progress(number); }
  std::vector<uint64_t> progress() const override { return board_.progress(); }
  void stop() noexcept override {
    board_.leave();
    take_buffers_back();
  }

 private:
  using Buffers = std::vector<std::byte*>;

  /// When this returns, after a fault or leave(), no other rank touches the caller's buffers.
  void take_buffers_back() noexcept {
    if (peers_->lends_callers_memory()) board_.wait_for_visitors();
  }
  void run(const Collective& call, Patience patience);
  bool is_small(const Collective& call) const;
  void finish_small(const Collective& call);
  void stage(Patience patience) {
    board_.arrive();
    board_.wait_all(patience);
  }
  /// Every rank's input buffer if all can be seen, else empty.
  const Buffers& visible_inputs();

  void reduce_in_place(const Buffers& buffers, const CallShape& shape, int64_t count,
                       Patience patience);
  void all_reduce(const Collective& call, Patience patience);
  void reduce_scatter(const Collective& call, Patience patience);
  void all_gather(const Collective& call, Patience patience);
  void broadcast(const Collective& call, Patience patience);

  const char* name_;
  const std::shared_ptr<void> shared_;
  const std::unique_ptr<PeerMemory> peers_;
  Board board_;
  Mailboxes mailboxes_;
  Buffers buffers_;  // scratch, one per rank
  std::vector<const std::byte*> sources_;
};

}  // namespace trireme
