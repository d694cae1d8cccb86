// The hooks of one node, and how a handle finds its hook again.

#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "core/tensor/tensor.h"

namespace trireme {

/// Functions called in registration order. A hook may remove itself or others while the list runs;
/// one added meanwhile runs too.
template <typename Fn>
class HookList {
 public:
  uint64_t add(Fn fn) {
    entries_.emplace_back(next_id_, std::move(fn));
    return next_id_++;
  }
  void remove(uint64_t id) {
    const auto it = std::find_if(entries_.begin(), entries_.end(),
                                 [&](const auto& e) { return e.first == id; });
    if (it == entries_.end()) return;
    it->second = nullptr;
    if (running_ == 0) compact();
  }
  bool empty() const { return entries_.empty(); }

  template <typename Call>
  void run(const Call& call) {
    struct Scope {
      HookList& list;
      explicit Scope(HookList& l) : list(l) { ++list.running_; }
      ~Scope() {
        if (--list.running_ == 0) list.compact();
      }
    } scope(*this);
    for (size_t i = 0; i < entries_.size(); ++i) {
      // A copy, because the hook may add to the list and so move the entries.
      if (Fn fn = entries_[i].second) call(fn);
    }
  }

 private:
  void compact() {
    std::erase_if(entries_, [](const auto& e) { return !e.second; });
  }
  std::vector<std::pair<uint64_t, Fn>> entries_;
  uint64_t next_id_ = 1;
  int running_ = 0;
};

struct ForwardCall;

struct NodeHooks {
  HookList<std::function<Tensor(const Tensor&dy)>> tensor, pre;
  HookList<std::function<void(std::span<Tensor> dx, const Tensor& dy)>> post;
  HookList<std::function<void()>> accumulated;  // of a leaf
  std::shared_ptr<const ForwardCall> call;      // of a node that was recorded under AnomalyMode
  bool retain = false;
  Tensor retained;
};

}  // namespace trireme
