#include "core/base/object_pool.h"

#include <new>

#include "core/base/sanitizer.h"

namespace trireme {
namespace {

constexpr bool kPooled = !kAddressSanitizer;
constexpr size_t kStep = 32;
constexpr size_t kClasses = 16;  // 32, 64, ... 512 bytes
constexpr int kMostCachedPerClass = 4096;

struct Block {
  Block* next;
};
// Trivially destructible, so that objects may still be freed while the thread's other thread-locals
// are being destroyed; `closed` then sends them to the system.
struct Lists {
  Block* first[kClasses];
  int count[kClasses];
  bool closed;
};
thread_local Lists lists = {};

struct Closer {
  ~Closer() {
    lists.closed = true;
    for (Block*& list : lists.first) {
      while (list) {
        Block* next = list->next;
        ::operator delete(list);
        list = next;
      }
    }
  }
};
// Called wherever a list may begin to hold something: a thread that only frees has one to close,
// too.
void close_at_thread_exit() { static thread_local Closer closer; }

size_t class_of(size_t bytes) { return (bytes - 1) / kStep; }

}  // namespace

void* pool_allocate(size_t bytes) {
  const size_t c = class_of(bytes);
  if (!kPooled || c >= kClasses) return ::operator new(bytes);
  if (Block* block = lists.first[c]) {
    lists.first[c] = block->next;
    --lists.count[c];
    return block;
  }
  close_at_thread_exit();
  return ::operator new((c + 1) * kStep);
}

void pool_free(void* block, size_t bytes) noexcept {
  const size_t c = class_of(bytes);
  if (!kPooled || c >= kClasses || lists.closed || lists.count[c] >= kMostCachedPerClass) {
    ::operator delete(block);
    return;
  }
  if (lists.count[c] == 0) close_at_thread_exit();
  lists.first[c] = new (block) Block{lists.first[c]};
  ++lists.count[c];
}

}  // namespace trireme
