#include "tests/cuda/emulator/emulator.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "tests/cuda/emulator/fiber.h"

namespace trireme::emulator {
namespace {

constexpr int kWarp = 32;

enum class State { kReady, kAtWarp, kAtBlock, kEnded };

struct Thread {
  State state = State::kReady;
  Place place;
  Fiber* fiber = nullptr;  // that it runs on, once it has begun
  // Two exchanges of a warp follow each other with one barrier between them, so a thread may give
  // its next value while others still take the last one.
  uint64_t given[2] = {};
  int exchanges = 0;
};

struct Block {
  std::vector<Thread> threads;
  int count = 0;  // threads of this block; entries are kept for larger ones
  int begun = 0;
  Thread* running = nullptr;
  std::vector<std::unique_ptr<Fiber>> fibers;
  std::vector<Fiber*> idle;
  Fiber* resumed = nullptr;  // to begin threads
  const std::function<void()>* kernel = nullptr;
  std::vector<uint64_t> shared;
};

Block& block() {
  static thread_local Block mine;
  return mine;
}
thread_local Order order = Order::kForward;
int64_t grids = 0;

Thread& nth(Block& b, int i) {
  return b.threads[static_cast<size_t>(order == Order::kForward ? i : b.count - 1 - i)];
}

/// A fiber's life: it begins threads one after another as long as none of its own waits, so threads
/// that never wait share one fiber without a switch.
void begin_threads() {
  Block& b = block();
  Fiber* const mine = b.resumed;
  for (;;) {
    while (b.begun < b.count) {
      Thread& thread = nth(b, b.begun++);
      thread.fiber = mine;
      b.running = &thread;
      (*b.kernel)();
      thread.state = State::kEnded;
    }
    b.idle.push_back(mine);
    mine->pause();
  }
}

void begin_on_idle_fiber(Block& b) {
  if (b.idle.empty()) {
    b.fibers.push_back(std::make_unique<Fiber>(begin_threads));
    b.idle.push_back(b.fibers.back().get());
  }
  b.resumed = b.idle.back();
  b.idle.pop_back();
  b.resumed->resume();
}

void wait_as(State state) {
  Thread& thread = *block().running;
  thread.state = state;
  thread.fiber->pause();
}

/// Opens the barrier of threads [begin, end) if all that have not ended stand before it.
bool open(Block& b, int begin, int end, State barrier) {
  bool waiting = false;
  for (int t = begin; t < end; ++t) {
    if (b.threads[static_cast<size_t>(t)].state == State::kReady) return false;
    if (b.threads[static_cast<size_t>(t)].state == State::kEnded) continue;
    if (b.threads[static_cast<size_t>(t)].state != barrier) return false;
    waiting = true;
  }
  if (!waiting) return false;
  for (int t = begin; t < end; ++t) {
    State& state = b.threads[static_cast<size_t>(t)].state;
    if (state == barrier) state = State::kReady;
  }
  return true;
}

/// One turn for every thread that can go on.
void run_ready(Block& b) {
  for (int i = 0; i < b.count; ++i) {
    Thread& thread = nth(b, i);
    if (thread.state != State::kReady) continue;
    b.running = &thread;
    thread.fiber->resume();
  }
}

/// Opens what barriers it can; false if that is none.
bool open_barriers(Block& b) {
  bool opened = false;
  for (int begin = 0; begin < b.count; begin += kWarp) {
    opened = open(b, begin, std::min(begin + kWarp, b.count), State::kAtWarp) || opened;
  }
  return opened || open(b, 0, b.count, State::kAtBlock);
}

void run_block(const char* op, Block& b) {
  b.begun = 0;
  while (b.begun < b.count) begin_on_idle_fiber(b);
  while (open_barriers(b)) run_ready(b);
  for (int t = 0; t < b.count; ++t) {
    if (b.threads[static_cast<size_t>(t)].state == State::kEnded) continue;
    b.idle.clear();
    b.fibers.clear();  // some stand in the middle of a thread
    throw Error(concat(op, ": threads of a block wait at barriers that cannot open"));
  }
}

}  // namespace

const Place& here() { return block().running->place; }
int lane() { return static_cast<int>(here().thread.x % kWarp); }
void sync_block() { wait_as(State::kAtBlock); }
void sync_warp() { wait_as(State::kAtWarp); }

uint64_t exchange(uint64_t bits, int from) {
  Block& b = block();
  Thread& mine = *b.running;
  const int turn = mine.exchanges++ % 2;
  mine.given[turn] = bits;
  sync_warp();
  const size_t first = here().thread.x / kWarp * kWarp;
  return b.threads[first + static_cast<size_t>(from)].given[turn];
}

uint32_t lanes_with(uint64_t bits) {
  Block& b = block();
  const int turn = b.running->exchanges % 2;
  exchange(bits, lane());
  const size_t first = here().thread.x / kWarp * kWarp;
  uint32_t lanes = 0;
  for (size_t l = 0; l < kWarp && first + l < static_cast<size_t>(b.count); ++l) {
    const Thread& other = b.threads[first + l];
    if (other.state != State::kEnded && other.given[turn] == bits) lanes |= uint32_t{1} << l;
  }
  return lanes;
}

void* dynamic_shared() { return block().shared.data(); }
void set_order(Order wanted) { order = wanted; }
int64_t grids_run() { return grids; }

void run_grid(const char* op, dim3 blocks, dim3 threads, int64_t shared_bytes,
              const std::function<void()>& kernel) {
  require(threads.x >= 1 && threads.x <= 1024 && threads.y == 1 && threads.z == 1, op,
          "a block has 1 to 1024 threads in one dimension, got ", threads.x);
  require(blocks.x >= 1 && blocks.y == 1 && blocks.z == 1, op, "a grid needs blocks");
  ++grids;
  Block& b = block();
  b.count = static_cast<int>(threads.x);
  b.kernel = &kernel;
  if (b.threads.size() < threads.x) b.threads.resize(threads.x);
  for (unsigned number = 0; number < blocks.x; ++number) {
    // Shared memory starts out as anything: here as what is no number.
    b.shared.assign(static_cast<size_t>(shared_bytes + 7) / 8 + 2, ~uint64_t{0});
    for (unsigned t = 0; t < threads.x; ++t) {
      b.threads[t] = {.place = {uint3{t, 0, 0}, uint3{number, 0, 0}, threads, blocks}};
    }
    run_block(op, b);
  }
}

namespace {
Queue the_queue;
}  // namespace

void set_queue(Queue queue) { the_queue = std::move(queue); }

void queue_grid(cudaStream_t stream, std::function<void()> grid) {
  the_queue ? the_queue(stream, std::move(grid)) : grid();
}

}  // namespace trireme::emulator
