// One of every optimizer, for tests of what all of them promise.

#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "core/optim/adagrad.h"
#include "core/optim/adam.h"
#include "core/optim/lion.h"
#include "core/optim/muon.h"
#include "core/optim/rms_prop.h"
#include "core/optim/sgd.h"
#include "core/optim/trust.h"

namespace trireme::testing {

using MakeOptimizer = std::function<std::unique_ptr<Optimizer>(
    const StateDict& parameters, MasterWeights master, double weight_decay)>;

template <typename O, typename Options>
MakeOptimizer maker(Options options) {
  return [=](const StateDict& parameters, MasterWeights master, double weight_decay) {
    Options with = options;
    with.master_weights = master;
    return std::make_unique<O>(decay_matrices_only(parameters, weight_decay), with);
  };
}

/// By name. Muon steps the matrices, in f32.
inline const std::map<std::string, MakeOptimizer>& every_optimizer() {
  static const std::map<std::string, MakeOptimizer> all = {
      {"sgd", maker<Sgd, SgdOptions>({.lr = 0.05})},
      {"momentum", maker<Sgd, SgdOptions>({.lr = 0.02, .momentum = 0.9, .dampening = 0.5})},
      {"adam", maker<Adam, AdamOptions>({.lr = 0.01})},
      {"adamw", maker<AdamW, AdamOptions>({.lr = 0.01})},
      {"adagrad", maker<Adagrad, AdagradOptions>({.lr = 0.02, .lr_decay = 0.01, .initial_sum = 1})},
      {"rms_prop", maker<RmsProp, RmsPropOptions>({.lr = 0.01, .alpha = 0.9})},
      {"rms_prop_all",
       maker<RmsProp, RmsPropOptions>(
           {.lr = 0.005, .alpha = 0.9, .eps = 0.1, .momentum = 0.5, .centered = true})},
      {"lion", maker<Lion, LionOptions>({.lr = 0.005})},
      {"lamb", maker<Lamb, LambOptions>({.lr = 0.01})},
      {"lars", maker<Lars, LarsOptions>({.lr = 0.5, .trust = 0.02, .adapts = Adapts::kAll})},
      {"muon",
       [](const StateDict& parameters, MasterWeights master, double weight_decay) {
         StateDict matrices, rest;
         for (const auto& entry : parameters) {
           (is_matrix(entry.first, entry.second) ? matrices : rest).push_back(entry);
         }
         return std::make_unique<Muon>(
             MuonParameters{.matrices = {{matrices, {.weight_decay = weight_decay}}},
                            .rest = {{rest, {}}}},
             MuonOptions{.lr = 0.01, .iterates_in = DType::kF32, .master_weights = master});
       }},
  };
  return all;
}

inline std::vector<std::string> names_of_optimizers() {
  std::vector<std::string> names;
  for (const auto& [name, make] : every_optimizer()) names.push_back(name);
  return names;
}

}  // namespace trireme::testing
