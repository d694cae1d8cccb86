// What a profiler would see: the names of ranges, in the order in which they begin.

#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/base/trace_range.h"

namespace trireme::testing {

/// Records the ranges of every thread, each thread's apart, while it lives. To be made before the
/// threads are.
class TraceRecorder {
 public:
  TraceRecorder() {
    take();
    install_trace_hooks(&kHooks);
  }
  ~TraceRecorder() { install_trace_hooks(nullptr); }
  TraceRecorder(const TraceRecorder&) = delete;

  /// Names that began on the calling thread since the last call, and still_open of them.
  static std::vector<std::string> take() { return std::exchange(names, {}); }
  static int still_open() { return open; }

 private:
  static void begin(const char* name) {
    names.emplace_back(name);
    ++open;
  }
  static void end() { --open; }
  static constexpr TraceHooks kHooks{begin, end};
  static inline thread_local std::vector<std::string> names;
  static inline thread_local int open = 0;
};

}  // namespace trireme::testing
