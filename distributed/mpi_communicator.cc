#include "distributed/mpi_communicator.h"

#include <mpi.h>

#include <algorithm>
#include <atomic>
#include <climits>
#include <cstring>
#include <span>
#include <thread>
#include <vector>

#include "distributed/combine.h"
#include "distributed/host_name.h"
#include "distributed/mpi_aborts.h"
#include "distributed/mpi_session.h"
#include "distributed/mpi_transfer.h"
#include "distributed/mpi_world.h"
#include "distributed/page_memory.h"
#include "distributed/transport_communicator.h"

namespace trireme {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kCallTag = 3;
constexpr int64_t kChunkElements = 1 << 28;  // MPI counts are int
constexpr int kPollsOfCaller = 20'000;       // before a waiting thread gives up its core
constexpr int kPollsInBackground = 100;
constexpr std::chrono::microseconds kNap{20};
constexpr int kPollsPerCheck = 64;  // polls between looks at the clock and at aborts

MPI_Datatype type_of(DType dtype) {
  switch (dtype) {
    case DType::kF64:
      return MPI_DOUBLE;
    case DType::kF32:
      return MPI_FLOAT;
    case DType::kI64:
      return MPI_INT64_T;
    case DType::kI32:
      return MPI_INT32_T;
    case DType::kU8:
    case DType::kBool:
      return MPI_UINT8_T;
    case DType::kBF16:  // moved only: MPI has no sum of them
    case DType::kF16:
      return MPI_UINT16_T;
  }
  fail("mpi", "unknown dtype ", static_cast<int>(dtype));
}

MPI_Op op_of(ReduceOp op, DType dtype) {
  if (dtype == DType::kBool) return op == ReduceOp::kMin ? MPI_BAND : MPI_BOR;
  switch (op) {
    case ReduceOp::kSum:
    case ReduceOp::kAverage:
      return MPI_SUM;
    case ReduceOp::kMax:
      return MPI_MAX;
    case ReduceOp::kMin:
      return MPI_MIN;
  }
  fail("mpi", "unknown op ", static_cast<int>(op));
}

int int_count(int64_t count) {
  require(count <= INT_MAX, "mpi", "at most ", INT_MAX, " elements per rank, got ", count,
          "; split the buffer");
  return static_cast<int>(count);
}

class MpiTransport final : public Transport {
 public:
  MpiTransport(int rank, int world_size, std::chrono::milliseconds timeout)
      : rank_(rank),
        world_size_(world_size),
        timeout_(timeout),
        comm_(copy_of_world(rank, timeout)),
        aborts_(comm_, rank, world_size),
        calls_(world_size),
        call_requests_(2 * world_size, MPI_REQUEST_NULL) {}

  ~MpiTransport() override {
    // A rank that leaves because of an error must not wait for the others at its exit. The MPI
    // communicator stays: freeing it is collective.
    if (std::uncaught_exceptions() > 0 || is_failed_) mark_mpi_failed();
    if (is_failed_) static_cast<void>(pieces_.release());  // a message may still come in
    for (int i = 0; i < 2 * world_size_; ++i) {
      MPI_Request& request = call_requests_[i];
      if (request == MPI_REQUEST_NULL) continue;
      if (i < world_size_) MPI_Cancel(&request);  // its buffer goes; a send has left already
      MPI_Request_free(&request);
    }
  }

  const char* name() const override { return "mpi"; }
  bool post(const Collective&) override {
    ++number_;
    return false;
  }
  void finish(const Collective& call, Patience patience) override;

  std::unique_ptr<Transfer> start_send(const void* data, int64_t bytes, int to) override {
    return start_mpi_send(comm_, aborts_, data, bytes, to);
  }
  std::unique_ptr<Transfer> start_recv(void* data, int64_t bytes, int from) override {
    return start_mpi_recv(comm_, aborts_, data, bytes, from);
  }

  void abort(const std::string& reason) noexcept override;
  void stop() noexcept override { stopped_ = true; }

 private:
  void check_same_call(const CallShape& shape, Patience patience);
  void run(const Collective& call, Patience patience);
  /// MPI sums neither bf16 nor f16, and a sum of its own would round at every pair. So each rank is
  /// sent its part of every rank's elements, reduces it in f32, rounding once, and for an
  /// all-reduce all gather the parts: as many bytes as in a ring.
  void run_halves(const Collective& call, Patience patience);
  void all_reduce_halves(const CallShape& shape, std::byte* data, int64_t count, Patience patience);
  /// Reduces world_size arrays of `count` elements in pieces_ into `out`.
  void combine_pieces(const CallShape& shape, int64_t count, std::byte* out) const;
  std::byte* pieces(int64_t bytes);
  MPI_Request& call_of(int rank) { return call_requests_[rank]; }
  /// Polls until all of `requests` are complete.
  void wait(std::span<MPI_Request> requests, const CallShape& shape, Patience patience);
  void wait(MPI_Request& request, const CallShape& shape, Patience patience) {
    wait({&request, 1}, shape, patience);
  }
  /// Which ranks' calls have come.
  std::string arrivals();
  void throw_if_ended(const CallShape& shape);

  const int rank_;
  const int world_size_;
  const std::chrono::milliseconds timeout_;
  const MPI_Comm comm_;  // tags and collectives of several kinds, which do not meet
  MpiAborts aborts_;
  std::vector<CallShape> calls_;            // of the current collective, one per rank
  std::vector<MPI_Request> call_requests_;  // that receive them, then that send this rank's
  std::unique_ptr<std::byte[]> pieces_;     // of all ranks, for run_halves
  int64_t pieces_bytes_ = 0;
  uint64_t number_ = 0;
  std::atomic<bool> stopped_{false};
  std::atomic<bool> is_failed_{false};
};

void MpiTransport::finish(const Collective& call, Patience patience) {
  try {
    check_same_call(call.shape, patience);
    run(call, patience);
  } catch (const CommError& error) {
    // After a mismatch, which all ranks see alike, MPI itself is sound.
    is_failed_ = error.kind() != CommError::Kind::kMismatch;
    throw;
  }
}

void MpiTransport::check_same_call(const CallShape& shape, Patience patience) {
  // Sent as bytes: all ranks run the same program. One message per pair of ranks, and not a
  // gather, so that those who do not come are known.
  static_assert(std::is_trivially_copyable_v<CallShape>);
  calls_[rank_] = shape;
  for (int r = 0; r < world_size_; ++r) {
    if (r == rank_) continue;
    check_mpi(MPI_Irecv(&calls_[r], sizeof(shape), MPI_BYTE, r, kCallTag, comm_, &call_of(r)),
              "MPI_Irecv");
    check_mpi(MPI_Isend(&calls_[rank_], sizeof(shape), MPI_BYTE, r, kCallTag, comm_,
                        &call_requests_[world_size_ + r]),
              "MPI_Isend");
  }
  wait(call_requests_, shape, patience);
  const bool same =
      std::all_of(calls_.begin(), calls_.end(), [&](const CallShape& c) { return c == shape; });
  if (same) return;
  std::string calls;
  for (int r = 0; r < world_size_; ++r) {
    calls += concat(r > 0 ? ", rank " : "rank ", r, " called ", describe(calls_[r], number_));
  }
  throw CommError(CommError::Kind::kMismatch,
                  concat(describe(shape, number_),
                         ": ranks must call the same collectives in the same order, but ", calls));
}

void MpiTransport::run(const Collective& call, Patience patience) {
  const CallShape& shape = call.shape;
  const int64_t size = size_of(shape.dtype);
  const MPI_Datatype type = type_of(shape.dtype);
  MPI_Request request = MPI_REQUEST_NULL;
  const bool reduces =
      shape.kind == CollectiveKind::kAllReduce || shape.kind == CollectiveKind::kReduceScatter;
  if (reduces && is_half_dtype(shape.dtype)) return run_halves(call, patience);
  switch (shape.kind) {
    case CollectiveKind::kAllReduce:
    case CollectiveKind::kBroadcast: {
      for (int64_t begin = 0; begin < shape.count; begin += kChunkElements) {
        const int n = static_cast<int>(std::min(kChunkElements, shape.count - begin));
        std::byte* data = static_cast<std::byte*>(call.out) + begin * size;
        if (reduces) {
          check_mpi(MPI_Iallreduce(MPI_IN_PLACE, data, n, type, op_of(shape.op, shape.dtype), comm_,
                                   &request),
                    "MPI_Iallreduce");
        } else {
          check_mpi(MPI_Ibcast(data, n, type, shape.root, comm_, &request), "MPI_Ibcast");
        }
        wait(request, shape, patience);
      }
      break;
    }
    case CollectiveKind::kReduceScatter:
      check_mpi(MPI_Ireduce_scatter_block(call.in, call.out, int_count(shape.count), type,
                                          op_of(shape.op, shape.dtype), comm_, &request),
                "MPI_Ireduce_scatter_block");
      wait(request, shape, patience);
      break;
    case CollectiveKind::kAllGather: {
      const int n = int_count(shape.count);
      check_mpi(MPI_Iallgather(call.in, n, type, call.out, n, type, comm_, &request),
                "MPI_Iallgather");
      wait(request, shape, patience);
      break;
    }
    case CollectiveKind::kAllocate:
      *call.memory = allocate_pages(shape.count);
      break;
    case CollectiveKind::kBarrier:  // the comparison of calls was one
      break;
  }
  if (reduces && shape.op == ReduceOp::kAverage) {
    divide_inplace(call.out, shape.count, shape.dtype, world_size_);
  }
}

std::byte* MpiTransport::pieces(int64_t bytes) {
  if (pieces_bytes_ < bytes) {
    pieces_ = std::make_unique_for_overwrite<std::byte[]>(static_cast<size_t>(bytes));
    pieces_bytes_ = bytes;
  }
  return pieces_.get();
}

void MpiTransport::combine_pieces(const CallShape& shape, int64_t count, std::byte* out) const {
  std::vector<const std::byte*> sources;
  for (int r = 0; r < world_size_; ++r) {
    sources.push_back(pieces_.get() + r * count * size_of(shape.dtype));
  }
  combine(sources, {&out, 1}, count, shape.dtype, shape.op);
}

void MpiTransport::run_halves(const Collective& call, Patience patience) {
  const CallShape& shape = call.shape;
  const int64_t size = size_of(shape.dtype);
  if (shape.kind == CollectiveKind::kReduceScatter) {
    const int n = int_count(shape.count);
    MPI_Request request = MPI_REQUEST_NULL;
    check_mpi(MPI_Ialltoall(call.in, n, MPI_UINT16_T, pieces(world_size_ * shape.count * size), n,
                            MPI_UINT16_T, comm_, &request),
              "MPI_Ialltoall");
    wait(request, shape, patience);
    return combine_pieces(shape, shape.count, static_cast<std::byte*>(call.out));
  }
  for (int64_t begin = 0; begin < shape.count; begin += kChunkElements) {
    all_reduce_halves(shape, static_cast<std::byte*>(call.out) + begin * size,
                      std::min(kChunkElements, shape.count - begin), patience);
  }
}

void MpiTransport::all_reduce_halves(const CallShape& shape, std::byte* data, int64_t count,
                                     Patience patience) {
  std::vector<int> counts, offsets, mine(static_cast<size_t>(world_size_)), places;
  for (int r = 0; r < world_size_; ++r) {
    offsets.push_back(static_cast<int>(count * r / world_size_));
    counts.push_back(static_cast<int>(count * (r + 1) / world_size_) - offsets.back());
  }
  const int own = counts[rank_];
  std::fill(mine.begin(), mine.end(), own);
  for (int r = 0; r < world_size_; ++r) places.push_back(r * own);
  const int64_t size = size_of(shape.dtype);
  std::byte* all = pieces(int64_t{world_size_} * own * size);
  MPI_Request request = MPI_REQUEST_NULL;
  check_mpi(MPI_Ialltoallv(data, counts.data(), offsets.data(), MPI_UINT16_T, all, mine.data(),
                           places.data(), MPI_UINT16_T, comm_, &request),
            "MPI_Ialltoallv");
  wait(request, shape, patience);
  combine_pieces(shape, own, data + offsets[rank_] * size);
  check_mpi(MPI_Iallgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, data, counts.data(), offsets.data(),
                            MPI_UINT16_T, comm_, &request),
            "MPI_Iallgatherv");
  wait(request, shape, patience);
}

void MpiTransport::wait(std::span<MPI_Request> requests, const CallShape& shape,
                        Patience patience) {
  const int busy_polls = patience == Patience::kCallerWaits ? kPollsOfCaller : kPollsInBackground;
  const auto start = Clock::now();
  for (int64_t polls = 1;; ++polls) {
    int done = 0;
    check_mpi(
        MPI_Testall(static_cast<int>(requests.size()), requests.data(), &done, MPI_STATUSES_IGNORE),
        "MPI_Testall");
    if (done) return;
    if (polls > busy_polls) {
      std::this_thread::sleep_for(kNap);
    } else if (polls % 16 == 0) {
      std::this_thread::yield();
    }
    if (polls % kPollsPerCheck != 0) continue;
    throw_if_ended(shape);
    if (Clock::now() - start > timeout_) {
      throw CommError(CommError::Kind::kTimeout,
                      concat(describe(shape, number_), ": rank ", rank_, " on ", host_name(),
                             " waited ", timeout_.count(), " ms; ", arrivals(),
                             "; set TRIREME_TIMEOUT_SECONDS if this may take longer"));
    }
  }
}

std::string MpiTransport::arrivals() {
  std::string here, missing;
  for (int r = 0; r < world_size_; ++r) {
    int came = 0;
    check_mpi(MPI_Test(&call_of(r), &came, MPI_STATUS_IGNORE), "MPI_Test");
    std::string& list = came ? here : missing;
    list += concat(list.empty() ? "" : ", ", r);
  }
  if (missing.empty()) return "all ranks have called it, but one has stopped since";
  return concat("arrived: rank ", here, "; missing: rank ", missing);
}

void MpiTransport::throw_if_ended(const CallShape& shape) {
  if (stopped_) {
    throw CommError(CommError::Kind::kAborted,
                    concat(describe(shape, number_), ": the communicator was closed meanwhile"));
  }
  const std::string aborted = aborts_.heard();
  if (aborted.empty()) return;
  throw CommError(CommError::Kind::kAborted, concat(describe(shape, number_), ": ", aborted));
}

void MpiTransport::abort(const std::string& reason) noexcept {
  is_failed_ = true;
  mark_mpi_failed();
  aborts_.tell(reason);
}

}  // namespace

std::unique_ptr<Communicator> make_mpi_communicator(int rank, int world_size,
                                                    const CommOptions& options) {
  start_mpi(rank, options.timeout);
  require(rank == mpi_rank() && world_size == mpi_world_size(), "mpi", "rank ", rank, " of ",
          world_size, " was asked for, but MPI says ", mpi_rank(), " of ", mpi_world_size(),
          "; start the program with mpirun");
  return std::make_unique<TransportCommunicator>(
      std::make_unique<MpiTransport>(rank, world_size, options.timeout), rank, world_size, options);
}

}  // namespace trireme
