// A list of modules of one type, owned: the blocks of a transformer, the stages of a network.

#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/nn/module.h"

namespace trireme {

/// The entries are named by their number, "0" first. Addresses of entries stay as the list grows.
template <typename Entry>
class ModuleList : public Module {
 public:
  ModuleList() = default;

  /// Makes an entry behind the last one.
  template <typename... Args>
  Entry& add(Args&&... args) {
    entries_.push_back(std::make_unique<Entry>(std::forward<Args>(args)...));
    register_module(std::to_string(entries_.size() - 1), *entries_.back());
    return *entries_.back();
  }

  size_t size() const { return entries_.size(); }
  Entry& operator[](size_t i) { return *entries_[i]; }
  const Entry& operator[](size_t i) const { return *entries_[i]; }

 private:
  std::vector<std::unique_ptr<Entry>> entries_;
};

}  // namespace trireme
