// Communicator: collectives among the ranks of one job.
//
// Every rank calls the same collectives in the same order with the same sizes. A collective is
// started by the calling thread and runs in the background; Work::wait() blocks until the buffer
// may be used again and rethrows what went wrong. Buffers must stay valid, and untouched, until
// then. Collectives of one communicator run one after another, in the order they were started. One
// thread at a time may start collectives.
//
// Every wait has a deadline (CommOptions::timeout). A peer that is gone, or late past the deadline,
// ends the collective on every other rank with CommError, whose message says which collective, how
// many bytes, and which ranks had arrived.
//
// Backends of buffers in host memory: local (ranks are threads), shm (processes of one node), mpi
// and store (any number of nodes). nccl is for buffers on GPUs: there the host waits for nothing,
// Work::wait() orders the calling thread's current stream behind the collective instead, and what
// was queued on the stream before a collective was started is done before it begins
// (nccl_communicator.h). A rank on a GPU needs both kinds; so every communicator has a host(),
// which for the host's backends is itself. make_communicator (make_communicator.h) chooses.

#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/base/device.h"
#include "core/base/dtype.h"

namespace trireme {

/// kAverage: floating dtypes only. For bool, sum and max mean "or", min means "and".
enum class ReduceOp { kSum, kAverage, kMax, kMin };

struct CommOptions {
  std::chrono::milliseconds timeout{300'000};
};

/// What a communicator has done so far; read by metrics.
struct CommStats {
  int64_t operations = 0;
  int64_t bytes = 0;          // payload: bytes of the buffers given to collectives
  double busy_seconds = 0;    // collectives were running (background time); nccl: not known, 0
  double waited_seconds = 0;  // callers were blocked here: the exposed part
};

/// A started collective. Destroying it without wait() is allowed: the collective still completes,
/// and its error, if any, is thrown by the next collective.
class Work {
 public:
  virtual ~Work() = default;
  /// Blocks until done; throws CommError. May be called again (returns or throws at once). On nccl
  /// it orders the current stream and returns at once; a failure later on is thrown by the next
  /// call of the communicator.
  virtual void wait() = 0;
  virtual bool is_done() const = 0;
};
using WorkPtr = std::shared_ptr<Work>;

class Communicator {
 public:
  virtual ~Communicator() =
      default;  // never throws; waits for peers that touch its buffers, 10 s at most

  virtual const char* backend() const = 0;  // "shm"
  virtual int rank() const = 0;
  virtual int world_size() const = 0;
  /// Where the buffers of collectives must lie.
  virtual Device device() const { return {}; }
  /// The communicator of the same ranks for buffers in host memory.
  virtual Communicator& host() { return *this; }

  /// In place: every rank's data becomes the reduction over ranks. Bitwise the same result on every
  /// rank, whatever the timing. On shm, a buffer from allocate() is reduced where it lies.
  virtual WorkPtr all_reduce(void* data, int64_t count, DType dtype, ReduceOp op) = 0;
  /// Rank r receives elements [r * count, (r + 1) * count) of the reduction; `in` has
  /// world_size * count elements, `out` count.
  virtual WorkPtr reduce_scatter(const void* in, void* out, int64_t count, DType dtype,
                                 ReduceOp op) = 0;
  /// `in` has `bytes` bytes, `out` world_size * bytes in rank order.
  virtual WorkPtr all_gather(const void* in, void* out, int64_t bytes) = 0;
  virtual WorkPtr broadcast(void* data, int64_t bytes, int root) = 0;
  virtual void barrier() = 0;
  /// Point to point; matched by (peer, order). Not ordered with collectives of other ranks.
  virtual WorkPtr send(const void* data, int64_t bytes, int to) = 0;
  virtual WorkPtr recv(void* data, int64_t bytes, int from) = 0;
  /// Starts the collectives that `calls` starts, as one launch where the backend can (nccl); they
  /// are waited for afterwards. If `calls` throws, nothing of a group has been launched.
  virtual void run_grouped(const std::function<void()>& calls) { calls(); }

  /// Memory that this backend reduces fastest (shm: shared memory). Collective: every rank asks for
  /// the same sizes in the same order. Zeroed, aligned to 64 bytes; freed with the last pointer, by
  /// which time no collective may be using it. It may outlive the communicator. On a GPU it is
  /// counted under the calling thread's MemoryKind, else as communication; in host memory by
  /// whoever asks for it (count_external_bytes).
  virtual std::shared_ptr<void> allocate(int64_t bytes) = 0;

  /// Makes every pending and later operation here and, as far as the backend can, on the peers
  /// fail with CommError(kAborted) soon. Called when this rank is about to die of an error.
  virtual void abort(const std::string& reason) noexcept = 0;
  /// Throws what has failed already, here or, as far as the backend sees it, on a peer. Waits for
  /// nobody. Any thread.
  virtual void check() {}
  /// Collective: a clean end, after which the communicator is only good for being destroyed. Not
  /// needed: without it, what is still under way may be lost. Throws CommError.
  virtual void close() {}

  /// A number of this rank's that all ranks can read at any time without communicating; empty where
  /// the backend has none (mpi, store). Any thread.
  virtual void set_progress(uint64_t /*number*/) {}
  virtual std::vector<uint64_t> progress() const { return {}; }

  virtual CommStats stats() const = 0;
};

}  // namespace trireme
