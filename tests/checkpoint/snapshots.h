// Small snapshots for the checkpoint tests.

#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "core/checkpoint/checkpoint.h"
#include "core/tensor/create.h"

namespace trireme::testing {

/// All its numbers are `step`, so a mixture of two checkpoints would show.
inline Snapshot snapshot_of(int64_t step, int64_t elements = 10) {
  const Tensor values = empty({elements});
  for (int64_t i = 0; i < elements; ++i) values.data<float>()[i] = static_cast<float>(step);
  Snapshot snapshot{step, {{"w", values}}, {{"w.exp_avg", values}}, {}};
  snapshot.state.set_int("step", step);
  return snapshot;
}

inline bool is_snapshot_of(int64_t step, const Snapshot& snapshot) {
  const auto all_equal = [&](const StateDict& tensors) {
    for (const auto& [name, tensor] : tensors) {
      for (const float value : tensor.to_vector<float>()) {
        if (value != static_cast<float>(step)) return false;
      }
    }
    return tensors.size() == 1;
  };
  return snapshot.step == step && snapshot.state.get_int("step") == step &&
         all_equal(snapshot.model) && all_equal(snapshot.optimizer);
}

/// What is in a directory, but for the lock that saving leaves there.
inline std::set<std::string> entries_of(const std::string& directory) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    names.insert(entry.path().filename());
  }
  names.erase(".lock");
  return names;
}

}  // namespace trireme::testing
