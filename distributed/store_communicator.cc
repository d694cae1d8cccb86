#include "distributed/store_communicator.h"

#include <cstring>

#include "distributed/combine.h"
#include "distributed/host_name.h"
#include "distributed/page_memory.h"
#include "distributed/transport_communicator.h"

namespace trireme {
namespace {

class StoreTransport final : public Transport {
 public:
  StoreTransport(std::unique_ptr<Store> store, int rank, int world_size,
                 std::chrono::milliseconds timeout)
      : store_(std::move(store)), rank_(rank), world_size_(world_size), timeout_(timeout) {}

  const char* name() const override { return "store"; }

  bool post(const Collective& /*call*/) override {
    ++number_;
    return false;
  }

  void finish(const Collective& call, Patience /*patience*/) override {
    const std::string what = describe(call.shape, number_);
    std::vector<std::string> all = exchange(call, what);
    if (call.shape.kind == CollectiveKind::kAllocate) {
      *call.memory = allocate_pages(call.shape.count);
    } else if (call.shape.count > 0) {
      combine_all(call, all);
    }
  }

  std::unique_ptr<Transfer> start_send(const void*, int64_t, int) override { no_messages(); }
  std::unique_ptr<Transfer> start_recv(void*, int64_t, int) override { no_messages(); }

  void abort(const std::string& reason) noexcept override {
    try {
      store_->abort(concat("store: aborted by rank ", rank_, " on ", host_name(), ": ", reason));
    } catch (const std::exception&) {
      // Out of memory: the deadlines of the others end them.
    }
  }
  void stop() noexcept override { store_->stop(); }

 private:
  [[noreturn]] static void no_messages() {
    fail("store", "this backend has no messages between two ranks; use mpi");
  }

  /// Every rank's input, once all have called the same.
  std::vector<std::string> exchange(const Collective& call, const std::string& what) {
    const bool gives = call.shape.kind != CollectiveKind::kAllocate &&
                       (call.shape.kind != CollectiveKind::kBroadcast || call.shape.root == rank_);
    std::string mine = what + '\n';
    if (gives && call.shape.count > 0) {
      mine.append(static_cast<const char*>(call.input()),
                  static_cast<size_t>(call.input_bytes(world_size_)));
    }
    std::vector<std::string> all =
        store_->gather(concat("collective-", number_), rank_, world_size_, mine, timeout_);
    std::string calls;
    for (size_t r = 0; r < all.size(); ++r) {
      const size_t end = all[r].find('\n');
      const std::string theirs = all[r].substr(0, end);
      calls += concat(r == 0 ? "" : ", ", "rank ", r, " called ", theirs);
      if (theirs != what) is_mismatch_ = true;
      all[r].erase(0, end + 1);
    }
    if (!is_mismatch_) return all;
    throw CommError(CommError::Kind::kMismatch,
                    "ranks must call the same collectives in the same order, but " + calls);
  }

  void combine_all(const Collective& call, const std::vector<std::string>& all) const {
    auto* const out = static_cast<std::byte*>(call.out);
    const CallShape& shape = call.shape;
    switch (shape.kind) {
      case CollectiveKind::kAllReduce:
      case CollectiveKind::kReduceScatter: {
        const bool is_part = shape.kind == CollectiveKind::kReduceScatter;
        std::vector<const std::byte*> sources;
        for (const std::string& input : all) {
          sources.push_back(reinterpret_cast<const std::byte*>(input.data()) +
                            (is_part ? rank_ * shape.bytes() : 0));
        }
        return combine(sources, {&out, 1}, shape.count, shape.dtype, shape.op);
      }
      case CollectiveKind::kAllGather:
        for (size_t r = 0; r < all.size(); ++r) {
          std::memcpy(out + r * all[r].size(), all[r].data(), all[r].size());
        }
        return;
      case CollectiveKind::kBroadcast: {
        const std::string& value = all[static_cast<size_t>(shape.root)];
        std::memcpy(out, value.data(), value.size());
        return;
      }
      case CollectiveKind::kBarrier:
      case CollectiveKind::kAllocate:
        return;
    }
  }

  const std::unique_ptr<Store> store_;
  const int rank_;
  const int world_size_;
  const std::chrono::milliseconds timeout_;
  uint64_t number_ = 0;
  bool is_mismatch_ = false;
};

}  // namespace

std::unique_ptr<Communicator> make_store_communicator(std::unique_ptr<Store> store, int rank,
                                                      int world_size, const CommOptions& options) {
  store->gather("ranks", rank, world_size, host_name(), options.timeout);
  return std::make_unique<TransportCommunicator>(
      std::make_unique<StoreTransport>(std::move(store), rank, world_size, options.timeout), rank,
      world_size, options);
}

}  // namespace trireme
