// The checked longjmp takes a jump to another stack for an error.
#undef _FORTIFY_SOURCE

#include "tests/cuda/emulator/fiber.h"

#include <sys/mman.h>

#include "core/base/error.h"

namespace trireme::emulator {
namespace {

constexpr size_t kStackBytes = 256 << 10;

char* map_stack() {
  void* memory =
      mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw Error("emulator: no memory for a thread's stack");
  return static_cast<char*>(memory);
}

}  // namespace

void Fiber::Unmap::operator()(char* stack) const { munmap(stack, kStackBytes); }

Fiber::Fiber(void (*body)()) : stack_(map_stack()) {
  getcontext(&begin_);
  begin_.uc_stack.ss_sp = stack_.get();
  begin_.uc_stack.ss_size = kStackBytes;
  begin_.uc_link = nullptr;
  makecontext(&begin_, body, 0);
}

// A context puts a fiber on its stack once. From then on jumps switch, which save no signal mask
// and so need no system call.
void Fiber::resume() {
  if (_setjmp(outside_) != 0) return;
  if (has_begun_) _longjmp(inside_, 1);
  has_begun_ = true;
  setcontext(&begin_);
}

void Fiber::pause() {
  if (_setjmp(inside_) == 0) _longjmp(outside_, 1);
}

}  // namespace trireme::emulator
