#include "tests/cuda/emulator/emulator.h"

#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "core/base/error.h"

namespace trireme::emulator {
namespace {

constexpr int kWarp = 32;
constexpr size_t kStackBytes = 256 << 10;

enum class State { kReady, kAtWarp, kAtBlock, kEnded };

struct Fiber {
  ucontext_t context;
  std::unique_ptr<char, void (*)(char*)> stack{nullptr, [](char* p) { munmap(p, kStackBytes); }};
  State state = State::kReady;
  Place place;
  // Two exchanges of a warp follow each other with one barrier between them, so a thread may give
  // its next value while others still take the last one.
  uint64_t given[2] = {};
  int exchanges = 0;
};

struct Block {
  std::vector<Fiber> fibers;
  ucontext_t scheduler;
  Fiber* running = nullptr;
  int count = 0;  // threads of this block; fibers are kept for larger ones
  const std::function<void()>* kernel = nullptr;
  std::vector<uint64_t> shared;
};

Block& block() {
  static thread_local Block mine;
  return mine;
}
thread_local Order order = Order::kForward;
int64_t grids = 0;

void run_fiber() {
  Block& b = block();
  (*b.kernel)();
  b.running->state = State::kEnded;
  swapcontext(&b.running->context, &b.scheduler);
}

void prepare(Fiber& fiber) {
  if (!fiber.stack) {
    void* memory =
        mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw Error("emulator: no memory for a thread's stack");
    fiber.stack.reset(static_cast<char*>(memory));
  }
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = fiber.stack.get();
  fiber.context.uc_stack.ss_size = kStackBytes;
  fiber.context.uc_link = nullptr;
  makecontext(&fiber.context, run_fiber, 0);
  fiber.state = State::kReady;
  fiber.exchanges = 0;
}

void wait_as(State state) {
  Block& b = block();
  b.running->state = state;
  swapcontext(&b.running->context, &b.scheduler);
}

/// Opens the barrier of threads [begin, end) if all that have not ended stand before it.
bool open(Block& b, int begin, int end, State barrier) {
  bool waiting = false;
  for (int t = begin; t < end; ++t) {
    if (b.fibers[static_cast<size_t>(t)].state == State::kReady) return false;
    if (b.fibers[static_cast<size_t>(t)].state == State::kEnded) continue;
    if (b.fibers[static_cast<size_t>(t)].state != barrier) return false;
    waiting = true;
  }
  if (!waiting) return false;
  for (int t = begin; t < end; ++t) {
    State& state = b.fibers[static_cast<size_t>(t)].state;
    if (state == barrier) state = State::kReady;
  }
  return true;
}

/// One turn for every thread that can run; false when none could.
bool run_ready(Block& b) {
  bool ran = false;
  for (int i = 0; i < b.count; ++i) {
    Fiber& fiber = b.fibers[static_cast<size_t>(order == Order::kForward ? i : b.count - 1 - i)];
    if (fiber.state != State::kReady) continue;
    b.running = &fiber;
    swapcontext(&b.scheduler, &fiber.context);
    ran = true;
  }
  return ran;
}

void run_block(const char* op, Block& b) {
  for (;;) {
    while (run_ready(b)) {
    }
    bool opened = false, ended = true;
    for (int begin = 0; begin < b.count; begin += kWarp) {
      opened = open(b, begin, std::min(begin + kWarp, b.count), State::kAtWarp) || opened;
    }
    opened = opened || open(b, 0, b.count, State::kAtBlock);
    for (int t = 0; t < b.count; ++t) {
      ended = ended && b.fibers[static_cast<size_t>(t)].state == State::kEnded;
    }
    if (ended) return;
    if (!opened) throw Error(concat(op, ": threads of a block wait at barriers that cannot open"));
  }
}

}  // namespace

const Place& here() { return block().running->place; }
int lane() { return static_cast<int>(here().thread.x % kWarp); }
void sync_block() { wait_as(State::kAtBlock); }
void sync_warp() { wait_as(State::kAtWarp); }

uint64_t exchange(uint64_t bits, int from) {
  Block& b = block();
  Fiber& mine = *b.running;
  const int turn = mine.exchanges++ % 2;
  mine.given[turn] = bits;
  sync_warp();
  const size_t first = here().thread.x / kWarp * kWarp;
  return b.fibers[first + static_cast<size_t>(from)].given[turn];
}

uint32_t lanes_with(uint64_t bits) {
  Block& b = block();
  const int turn = b.running->exchanges % 2;
  exchange(bits, lane());
  const size_t first = here().thread.x / kWarp * kWarp;
  uint32_t lanes = 0;
  for (size_t l = 0; l < kWarp && first + l < static_cast<size_t>(b.count); ++l) {
    const Fiber& other = b.fibers[first + l];
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
  if (b.fibers.size() < threads.x) b.fibers = std::vector<Fiber>(threads.x);
  for (unsigned number = 0; number < blocks.x; ++number) {
    // Shared memory starts out as anything: here as what is no number.
    b.shared.assign(static_cast<size_t>(shared_bytes + 7) / 8 + 2, ~uint64_t{0});
    for (unsigned t = 0; t < threads.x; ++t) {
      Fiber& fiber = b.fibers[t];
      prepare(fiber);
      fiber.place = {uint3{t, 0, 0}, uint3{number, 0, 0}, threads, blocks};
    }
    run_block(op, b);
  }
}

}  // namespace trireme::emulator
