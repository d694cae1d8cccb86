// Code that stops in the middle and goes on later, on a stack of its own. Fibers belong to the
// thread of the host that resumes them.

#pragma once

#include <ucontext.h>

#include <csetjmp>
#include <memory>

namespace trireme::emulator {

class Fiber {
 public:
  /// `body` begins with the first resume() and must not return. Destroying a fiber frees its stack;
  /// what lies there is not destroyed.
  explicit Fiber(void (*body)());
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// Runs the fiber until it pauses.
  void resume();
  /// Called on the fiber: goes back to where resume() was called.
  void pause();

 private:
  struct Unmap {
    void operator()(char* stack) const;
  };

  std::unique_ptr<char, Unmap> stack_;
  ucontext_t begin_;
  bool has_begun_ = false;
  std::jmp_buf inside_, outside_;
};

}  // namespace trireme::emulator
