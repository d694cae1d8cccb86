// A group whose members are host threads: row bodies of kernels/cuda run in it as they run in a
// warp or block, barriers included.

#pragma once

#include <barrier>
#include <cstring>
#include <thread>
#include <vector>

namespace trireme::testing {

/// What the members share.
class ThreadGroupState {
 public:
  explicit ThreadGroupState(int size) : size_(size), barrier_(size), slots_(size) {}

 private:
  friend class ThreadGroup;
  struct Slot {
    alignas(16) unsigned char bytes[16];
  };
  int size_;
  std::barrier<> barrier_;
  std::vector<Slot> slots_;
};

class ThreadGroup {
 public:
  ThreadGroup(ThreadGroupState& state, int rank) : state_(state), rank_(rank) {}
  int rank() const { return rank_; }
  int size() const { return state_.size_; }
  void sync() const { state_.barrier_.arrive_and_wait(); }

  template <typename V, typename Op>
  V reduce(V v, Op op) const {
    static_assert(sizeof(V) <= 16);
    std::memcpy(state_.slots_[static_cast<size_t>(rank_)].bytes, &v, sizeof v);
    sync();
    std::memcpy(&v, state_.slots_[0].bytes, sizeof v);
    for (size_t member = 1; member < state_.slots_.size(); ++member) {
      V other;
      std::memcpy(&other, state_.slots_[member].bytes, sizeof v);
      v = op(v, other);
    }
    sync();  // before somebody writes the slots again
    return v;
  }

 private:
  ThreadGroupState& state_;
  int rank_;
};

/// Calls fn(group) in `size` threads.
template <typename Fn>
void run_group(int size, const Fn& fn) {
  ThreadGroupState state(size);
  std::vector<std::thread> members;
  for (int rank = 1; rank < size; ++rank) {
    members.emplace_back([&, rank] { fn(ThreadGroup(state, rank)); });
  }
  fn(ThreadGroup(state, 0));
  for (std::thread& member : members) member.join();
}

}  // namespace trireme::testing
