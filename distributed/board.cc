#include "distributed/board.h"

#include <sched.h>
#include <unistd.h>

#include <cstring>
#include <new>
#include <thread>

#include "distributed/board_layout.h"
#include "distributed/futex.h"
#include "distributed/host_name.h"

namespace trireme {
namespace {

using Clock = std::chrono::steady_clock;

// How long a waiting rank burns its core before it sleeps. A wake-up costs a few microseconds, and
// a thread that yields to computation gets its core back only after milliseconds, so the background
// spins for about that long and then sleeps.
constexpr int kSpinsOfCaller = 2000;
constexpr int kSpinsInBackground = 200;
constexpr int kYieldsOfCaller = 100;
constexpr std::chrono::milliseconds kNap{20};
constexpr std::chrono::milliseconds kCheckEvery{100};
constexpr std::chrono::seconds kLongestVisit{10};  // far beyond one pass over any buffer
constexpr std::chrono::microseconds kVisitNap{100};

void relax() {
#ifdef __x86_64__
  __builtin_ia32_pause();
#endif
}

}  // namespace

int64_t Board::bytes_for(int world_size) {
  return sizeof(Fault) + static_cast<int64_t>(sizeof(Slot)) * world_size;
}

void Board::format(void* memory, std::span<const ProcessIdentity> processes) {
  new (memory) Fault;
  auto* next = static_cast<std::byte*>(memory) + sizeof(Fault);
  for (const ProcessIdentity& process : processes) {
    (new (next) Slot)->process = process;
    next += sizeof(Slot);
  }
}

Board::Board(void* memory, int rank, int world_size, std::chrono::milliseconds timeout)
    : fault_(static_cast<Fault*>(memory)),
      slots_(static_cast<std::byte*>(memory) + sizeof(Fault)),
      rank_(rank),
      world_size_(world_size),
      timeout_(timeout),
      oversubscribed_(sysconf(_SC_NPROCESSORS_ONLN) < world_size) {}

Board::Slot& Board::slot(int rank) const {
  return *std::launder(reinterpret_cast<Slot*>(slots_ + rank * sizeof(Slot)));
}

const CallRecord& Board::call_of(int rank) const { return slot(rank).calls[number_ % 2]; }
std::byte* Board::small(int rank) const { return slot(rank).small[number_ % 2]; }

std::string Board::describe_current() const { return describe(call_of(rank_).shape, number_); }

void Board::begin(const CallRecord& record) {
  ++number_;
  Slot& mine = slot(rank_);
  mine.calls[number_ % 2] = record;
  mine.number.store(number_, std::memory_order_relaxed);
}

void Board::arrive() {
  // Sequentially consistent against sleep_until_rung(): either the sleeper sees this arrival, or it
  // is seen here and woken.
  slot(rank_).arrived.store(++stage_, std::memory_order_seq_cst);
  for (int r = 0; r < world_size_; ++r) {
    Slot& other = slot(r);
    if (r != rank_ && other.sleepers.load(std::memory_order_seq_cst) > 0) {
      other.bell.fetch_add(1, std::memory_order_seq_cst);
      futex_wake(other.bell);
    }
  }
}

bool Board::has_all_arrived() const {
  for (int r = 0; r < world_size_; ++r) {
    if (slot(r).arrived.load(std::memory_order_seq_cst) < stage_) return false;
  }
  return true;
}

void Board::wait_all(Patience patience) {
  const bool caller = patience == Patience::kCallerWaits;
  const int spins = oversubscribed_ ? 0 : caller ? kSpinsOfCaller : kSpinsInBackground;
  for (int i = 0; i < spins; ++i) {
    if (has_all_arrived()) return;
    relax();
  }
  for (int i = 0; caller && i < kYieldsOfCaller; ++i) {
    if (has_all_arrived()) return;
    sched_yield();
  }
  const auto start = Clock::now();
  auto last_check = start;
  while (!has_all_arrived()) {
    const auto now = Clock::now();
    const bool thorough = now - last_check >= kCheckEvery;
    if (thorough) last_check = now;
    check_missing(thorough);
    if (now - start > timeout_) throw_timeout();
    sleep_until_rung();
  }
}

void Board::sleep_until_rung() {
  Slot& mine = slot(rank_);
  const uint32_t bell = mine.bell.load(std::memory_order_seq_cst);
  mine.sleepers.fetch_add(1, std::memory_order_seq_cst);
  const bool nothing_new = !has_all_arrived() && !left_.load(std::memory_order_seq_cst) &&
                           fault().state.load(std::memory_order_seq_cst) == Fault::kNone;
  if (nothing_new) futex_wait(mine.bell, bell, kNap);
  mine.sleepers.fetch_sub(1, std::memory_order_seq_cst);
}

void Board::ring_all() noexcept {
  for (int r = 0; r < world_size_; ++r) {
    slot(r).bell.fetch_add(1, std::memory_order_seq_cst);
    futex_wake(slot(r).bell);
  }
}

void Board::check_missing(bool thorough) {
  if (left_.load(std::memory_order_acquire)) {
    throw CommError(CommError::Kind::kAborted,
                    concat(describe_current(), ": the communicator was closed meanwhile"));
  }
  throw_if_fault(describe_current());
  for (int r = 0; r < world_size_; ++r) {
    Slot& other = slot(r);
    if (other.arrived.load(std::memory_order_acquire) >= stage_) continue;
    const bool left = other.left.load(std::memory_order_acquire);
    const bool gone = thorough && !is_alive(other.process);
    // A rank may arrive and end between the two questions.
    if ((!left && !gone) || other.arrived.load(std::memory_order_acquire) >= stage_) continue;
    record_fault(CommError::Kind::kPeerLost,
                 concat("rank ", r, " (process ", other.process.pid, " on ", host_name(), ") ",
                        gone ? "is gone" : "has closed its communicator", "; ", arrivals()));
    throw_if_fault(describe_current());
  }
}

void Board::set_progress(uint64_t number) {
  slot(rank_).progress.store(number, std::memory_order_relaxed);
}

std::vector<uint64_t> Board::progress() const {
  std::vector<uint64_t> numbers;
  for (int r = 0; r < world_size_; ++r) {
    numbers.push_back(slot(r).progress.load(std::memory_order_relaxed));
  }
  return numbers;
}

void Board::throw_timeout() {
  record_fault(CommError::Kind::kTimeout,
               concat("rank ", rank_, " on ", host_name(), " waited ", timeout_.count(), " ms; ",
                      arrivals(), "; set TRIREME_TIMEOUT_SECONDS if this may take longer"));
  throw_if_fault(describe_current());
  throw CommError(CommError::Kind::kTimeout, describe_current());
}

std::string Board::arrivals() const {
  std::string here, missing;
  for (int r = 0; r < world_size_; ++r) {
    const uint64_t number = slot(r).number.load(std::memory_order_relaxed);
    if (slot(r).arrived.load(std::memory_order_acquire) >= stage_) {
      here += concat(here.empty() ? "" : ", ", r);
    } else {
      missing += concat(missing.empty() ? "" : ", ", r, " (in its collective #", number, ")");
    }
  }
  return concat("arrived: rank ", here, "; missing: rank ", missing);
}

void Board::check_same_call() {
  // A latecomer finds everyone arrived, but the others may have given up on it.
  if (fault().state.load(std::memory_order_acquire) != Fault::kNone) {
    throw_if_fault(describe_current());
  }
  const CallShape& mine = call_of(rank_).shape;
  bool same = true;
  for (int r = 0; r < world_size_; ++r) same = same && call_of(r).shape == mine;
  if (same) return;
  std::string calls;
  for (int r = 0; r < world_size_; ++r) {
    calls +=
        concat(r > 0 ? ", rank " : "rank ", r, " called ", describe(call_of(r).shape, number_));
  }
  record_fault(CommError::Kind::kMismatch, concat("ranks must call the same collectives in the "
                                                  "same order, but ",
                                                  calls));
  throw_if_fault(describe_current());
}

void Board::record_fault(CommError::Kind kind, const std::string& text) noexcept {
  uint32_t expected = Fault::kNone;
  if (fault().state.compare_exchange_strong(expected, Fault::kWriting)) {
    fault().kind = kind;
    std::strncpy(fault().text, text.c_str(), sizeof(fault().text) - 1);
    fault().state.store(Fault::kRecorded, std::memory_order_seq_cst);
  }
  ring_all();
}

void Board::throw_if_fault(const std::string& during) const {
  uint32_t state = fault().state.load(std::memory_order_acquire);
  if (state == Fault::kNone) return;
  // Its writer is a few instructions from done, unless it was killed right there.
  for (int i = 0; state == Fault::kWriting && i < 1000; ++i) {
    sched_yield();
    state = fault().state.load(std::memory_order_acquire);
  }
  if (state == Fault::kWriting) {
    throw CommError(CommError::Kind::kAborted,
                    concat(during, ": a rank failed and ended before it could say why"));
  }
  throw CommError(fault().kind, concat(during, ": ", fault().text));
}

void Board::check_peer(int peer, const std::string& during) {
  throw_if_fault(during);
  Slot& other = slot(peer);
  const bool left = other.left.load(std::memory_order_acquire);
  if (!left && is_alive(other.process)) return;
  record_fault(CommError::Kind::kPeerLost,
               concat("rank ", peer, " (process ", other.process.pid, " on ", host_name(), ") ",
                      left ? "has closed its communicator" : "is gone"));
  throw_if_fault(during);
}

void Board::leave() noexcept {
  // In this order: whoever ends because of left_ has told the others.
  slot(rank_).left.store(true, std::memory_order_seq_cst);
  left_.store(true, std::memory_order_seq_cst);
  ring_all();
}

// Sequentially consistent against wait_for_visitors(): either the visitor sees the fault or that
// the host has left, or the host sees the visitor.
Board::Visit::Visit(Board& board) : board_(board) {
  std::atomic<bool>& visiting = board.slot(board.rank_).visiting;
  visiting.store(true, std::memory_order_seq_cst);
  bool welcome = board.fault().state.load(std::memory_order_seq_cst) == Fault::kNone;
  for (int r = 0; r < board.world_size_; ++r) {
    welcome = welcome && !board.slot(r).left.load(std::memory_order_seq_cst);
  }
  if (welcome) return;
  visiting.store(false, std::memory_order_seq_cst);
  for (int r = 0; r < board.world_size_; ++r) {
    if (r != board.rank_) board.check_peer(r, board.describe_current());
  }
  throw CommError(CommError::Kind::kAborted,
                  concat(board.describe_current(), ": the communicator was closed meanwhile"));
}

Board::Visit::~Visit() {
  board_.slot(board_.rank_).visiting.store(false, std::memory_order_seq_cst);
}

void Board::wait_for_visitors() noexcept {
  const auto deadline = Clock::now() + kLongestVisit;
  for (int r = 0; r < world_size_; ++r) {
    while (r != rank_ && slot(r).visiting.load(std::memory_order_seq_cst)) {
      if (Clock::now() > deadline) return;
      std::this_thread::sleep_for(kVisitNap);
    }
  }
}

}  // namespace trireme
