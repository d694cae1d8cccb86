// Named ranges of a thread's time, for profilers that somebody attaches: phases of a step, layers,
// the backward of an op.
//
// Nothing is recorded here. A range calls what was installed (core/cuda/nvtx.h), and nothing where
// nothing was: then it costs one load.

#pragma once

namespace trireme {

/// Both are called on the thread whose time it is; ranges of a thread nest.
struct TraceHooks {
  void (*begin)(const char* name);
  void (*end)();
};

namespace detail {
inline constinit const TraceHooks* trace_hooks = nullptr;
}  // namespace detail

/// For all threads from now on; null: nothing is called. `hooks` must stay, and no range be open.
inline void install_trace_hooks(const TraceHooks* hooks) { detail::trace_hooks = hooks; }

/// A range as long as the object lives. `name` must stay as long.
class TraceRange {
 public:
  explicit TraceRange(const char* name) : hooks_(detail::trace_hooks) {
    if (hooks_) [[unlikely]] {
      hooks_->begin(name);
    }
  }
  ~TraceRange() {
    if (hooks_) [[unlikely]] {
      hooks_->end();
    }
  }
  TraceRange(const TraceRange&) = delete;

 private:
  const TraceHooks* const hooks_;
};

}  // namespace trireme
