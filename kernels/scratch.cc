#include "kernels/scratch.h"

#include <array>
#include <cstdlib>
#include <memory>
#include <new>

namespace trireme::kernels {
namespace {

struct Free {
  void operator()(void* p) const { std::free(p); }
};
struct Block {
  std::unique_ptr<void, Free> data;
  int64_t bytes = 0;
};

}  // namespace

void* scratch_bytes(Scratch slot, int64_t bytes) {
  thread_local std::array<Block, kScratchSlots> blocks;
  Block& block = blocks[static_cast<size_t>(slot)];
  if (block.bytes < bytes) {
    // The old block goes first: its content is not wanted, and both need not exist at once.
    block.data.reset();
    block.bytes = (bytes + bytes / 4 + 63) / 64 * 64;
    block.data.reset(std::aligned_alloc(64, static_cast<size_t>(block.bytes)));
    if (!block.data) {
      block.bytes = 0;
      throw std::bad_alloc();
    }
  }
  return block.data.get();
}

}  // namespace trireme::kernels
