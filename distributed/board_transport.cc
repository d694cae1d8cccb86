#include "distributed/board_transport.h"

#include <algorithm>
#include <cstring>

namespace trireme {
namespace {

constexpr int64_t kCacheLine = 64;

int64_t padded_board_bytes(int world_size) {
  return (Board::bytes_for(world_size) + kCacheLine - 1) / kCacheLine * kCacheLine;
}

std::byte* bytes_of(void* data) { return static_cast<std::byte*>(data); }
const std::byte* bytes_of(const void* data) { return static_cast<const std::byte*>(data); }

}  // namespace

int64_t BoardMemory::bytes_for(int world_size) {
  return padded_board_bytes(world_size) + Mailboxes::bytes_for(world_size);
}

void BoardMemory::format(void* memory, std::span<const ProcessIdentity> processes) {
  const int world_size = static_cast<int>(processes.size());
  Board::format(memory, processes);
  Mailboxes::format(bytes_of(memory) + padded_board_bytes(world_size), world_size);
}

BoardTransport::BoardTransport(const char* name, std::shared_ptr<void> shared,
                               std::unique_ptr<PeerMemory> peers, int rank, int world_size,
                               std::chrono::milliseconds timeout)
    : name_(name),
      shared_(std::move(shared)),
      peers_(std::move(peers)),
      board_(shared_.get(), rank, world_size, timeout),
      mailboxes_(bytes_of(shared_.get()) + padded_board_bytes(world_size), board_),
      buffers_(world_size),
      sources_(world_size) {}

bool BoardTransport::is_small(const Collective& call) const {
  return call.shape.kind != CollectiveKind::kAllocate &&
         call.input_bytes(board_.world_size()) <= kSmallBytes;
}

bool BoardTransport::post(const Collective& call) {
  const int64_t bytes = call.input_bytes(board_.world_size());
  CallRecord record{.shape = call.shape, .input = {}};
  const bool small = is_small(call);
  if (!small && call.input()) record.input = peers_->find(call.input(), bytes);
  board_.begin(record);
  if (small && bytes > 0) std::memcpy(board_.small(board_.rank()), call.input(), bytes);
  board_.arrive();
  return small;
}

void BoardTransport::finish(const Collective& call, Patience patience) {
  try {
    run(call, patience);
  } catch (...) {
    take_buffers_back();
    throw;
  }
}

void BoardTransport::run(const Collective& call, Patience patience) {
  board_.wait_all(patience);
  board_.check_same_call();
  if (is_small(call)) return finish_small(call);
  switch (call.shape.kind) {
    case CollectiveKind::kAllReduce:
      return all_reduce(call, patience);
    case CollectiveKind::kReduceScatter:
      return reduce_scatter(call, patience);
    case CollectiveKind::kAllGather:
      return all_gather(call, patience);
    case CollectiveKind::kBroadcast:
      return broadcast(call, patience);
    case CollectiveKind::kAllocate:
      *call.memory = peers_->allocate(call.shape.count);
      return stage(patience);
    case CollectiveKind::kBarrier:
      return;
  }
}

void BoardTransport::finish_small(const Collective& call) {
  const CallShape& shape = call.shape;
  const int64_t bytes = shape.bytes();
  if (bytes == 0) return;
  const int ranks = board_.world_size();
  switch (shape.kind) {
    case CollectiveKind::kAllReduce:
    case CollectiveKind::kReduceScatter: {
      const bool scatter = shape.kind == CollectiveKind::kReduceScatter;
      for (int r = 0; r < ranks; ++r) {
        sources_[r] = board_.small(r) + (scatter ? board_.rank() * bytes : 0);
      }
      std::byte* out = bytes_of(call.out);
      return combine(sources_, {&out, 1}, shape.count, shape.dtype, shape.op);
    }
    case CollectiveKind::kAllGather:
      for (int r = 0; r < ranks; ++r) {
        std::memcpy(bytes_of(call.out) + r * bytes, board_.small(r), bytes);
      }
      return;
    case CollectiveKind::kBroadcast:
      if (shape.root != board_.rank()) std::memcpy(call.out, board_.small(shape.root), bytes);
      return;
    default:
      return;
  }
}

const BoardTransport::Buffers& BoardTransport::visible_inputs() {
  static const Buffers kNone;
  const Address& mine = board_.call_of(board_.rank()).input;
  for (int r = 0; r < board_.world_size(); ++r) {
    const Address& theirs = board_.call_of(r).input;
    // Another region may be unmapped here by now, so only a common one is read directly.
    if (!theirs.is_shared() || theirs.region != mine.region) return kNone;
    buffers_[r] = peers_->at(r, theirs);
  }
  return buffers_;
}

void BoardTransport::reduce_in_place(const Buffers& buffers, const CallShape& shape, int64_t count,
                                     Patience patience) {
  // Slices begin on cache lines, so that no two ranks write to one.
  const int64_t size = size_of(shape.dtype);
  const int64_t lines = (count * size + kCacheLine - 1) / kCacheLine;
  const auto slice_begin = [&](int r) {
    return std::min(count, lines * r / board_.world_size() * kCacheLine / size);
  };
  const int64_t begin = slice_begin(board_.rank());
  const int64_t end = slice_begin(board_.rank() + 1);
  if (begin < end) {
    Buffers slices(buffers);
    for (std::byte*& slice : slices) slice += begin * size;
    std::copy(slices.begin(), slices.end(), sources_.begin());
    const Board::Visit visit(board_);
    combine(sources_, slices, end - begin, shape.dtype, shape.op);
  }
  stage(patience);
}

void BoardTransport::all_reduce(const Collective& call, Patience patience) {
  const CallShape& shape = call.shape;
  const Buffers& inputs = visible_inputs();
  if (!inputs.empty()) return reduce_in_place(inputs, shape, shape.count, patience);

  const int64_t size = size_of(shape.dtype);
  const int64_t chunk = peers_->staging_bytes() / size;
  for (int r = 0; r < board_.world_size(); ++r) buffers_[r] = peers_->staging(r);
  std::byte* mine = buffers_[board_.rank()];
  for (int64_t begin = 0; begin < shape.count; begin += chunk) {
    const int64_t n = std::min(chunk, shape.count - begin);
    std::byte* data = bytes_of(call.out) + begin * size;
    std::memcpy(mine, data, n * size);
    stage(patience);
    reduce_in_place(buffers_, shape, n, patience);
    std::memcpy(data, mine, n * size);
  }
}

void BoardTransport::reduce_scatter(const Collective& call, Patience patience) {
  const CallShape& shape = call.shape;
  const int ranks = board_.world_size();
  const int64_t size = size_of(shape.dtype);
  const int64_t all = shape.bytes();  // of one rank's result
  std::byte* out = bytes_of(call.out);
  const Buffers& inputs = visible_inputs();
  if (!inputs.empty()) {
    for (int r = 0; r < ranks; ++r) sources_[r] = inputs[r] + board_.rank() * all;
    {
      const Board::Visit visit(board_);
      combine(sources_, {&out, 1}, shape.count, shape.dtype, shape.op);
    }
    return stage(patience);
  }

  // A staging area holds one piece for each rank.
  const int64_t chunk = peers_->staging_bytes() / (size * ranks);
  std::byte* mine = peers_->staging(board_.rank());
  for (int64_t begin = 0; begin < shape.count; begin += chunk) {
    const int64_t n = std::min(chunk, shape.count - begin);
    for (int r = 0; r < ranks; ++r) {
      std::memcpy(mine + r * n * size, bytes_of(call.in) + r * all + begin * size, n * size);
      sources_[r] = peers_->staging(r) + board_.rank() * n * size;
    }
    stage(patience);
    std::byte* to = out + begin * size;
    combine(sources_, {&to, 1}, n, shape.dtype, shape.op);
    stage(patience);
  }
}

void BoardTransport::all_gather(const Collective& call, Patience patience) {
  const int ranks = board_.world_size();
  const int64_t all = call.shape.bytes();
  std::byte* out = bytes_of(call.out);
  const Buffers& inputs = visible_inputs();
  if (!inputs.empty()) {
    {
      const Board::Visit visit(board_);
      for (int r = 0; r < ranks; ++r) {
        if (out + r * all != inputs[r]) std::memcpy(out + r * all, inputs[r], all);
      }
    }
    return stage(patience);
  }

  const int64_t chunk = peers_->staging_bytes();
  for (int64_t begin = 0; begin < all; begin += chunk) {
    const int64_t n = std::min(chunk, all - begin);
    std::memcpy(peers_->staging(board_.rank()), bytes_of(call.in) + begin, n);
    stage(patience);
    for (int r = 0; r < ranks; ++r) std::memcpy(out + r * all + begin, peers_->staging(r), n);
    stage(patience);
  }
}

void BoardTransport::broadcast(const Collective& call, Patience patience) {
  const int root = call.shape.root;
  const bool is_root = root == board_.rank();
  const int64_t all = call.shape.bytes();
  const Buffers& inputs = visible_inputs();
  if (!inputs.empty()) {
    if (!is_root) {
      const Board::Visit visit(board_);
      std::memcpy(call.out, inputs[root], all);
    }
    return stage(patience);
  }

  const int64_t chunk = peers_->staging_bytes();
  std::byte* staging = peers_->staging(root);
  for (int64_t begin = 0; begin < all; begin += chunk) {
    const int64_t n = std::min(chunk, all - begin);
    std::byte* data = bytes_of(call.out) + begin;
    if (is_root) std::memcpy(staging, data, n);
    stage(patience);
    if (!is_root) std::memcpy(data, staging, n);
    stage(patience);
  }
}

std::unique_ptr<Transfer> BoardTransport::start_send(const void* data, int64_t bytes, int to) {
  return mailboxes_.start_send(data, bytes, to);
}

std::unique_ptr<Transfer> BoardTransport::start_recv(void* data, int64_t bytes, int from) {
  return mailboxes_.start_recv(data, bytes, from);
}

void BoardTransport::abort(const std::string& reason) noexcept {
  try {
    board_.record_fault(CommError::Kind::kAborted,
                        concat("aborted by rank ", board_.rank(), ": ", reason));
  } catch (const std::exception&) {
    board_.record_fault(CommError::Kind::kAborted, "aborted");
  }
  take_buffers_back();
}

}  // namespace trireme
