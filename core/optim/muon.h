// Muon: momentum whose matrices are orthogonalised, for the hidden layers' weights.
//
//   Muon optimizer({.matrices = group_parameters(hidden, {{any_parameter, {.weight_decay = 0.1}}}),
//                   .rest = decay_matrices_only(others, 0.1)}, {.lr = 1e-3});

#pragma once

#include "core/optim/optimizer.h"

namespace trireme {

/// How long an orthogonalised step is.
enum class MuonScale {
  kLikeAdam,  // 0.2 sqrt(longer side): as long as AdamW's, whose lr and decay then suit
  kSpectral,  // sqrt(max(1, out / in)): changes the layer's output alike at every width
};

struct MuonOptions {
  double lr = 1e-3;
  double momentum = 0.95;
  bool nesterov = true;
  MuonScale scale = MuonScale::kLikeAdam;
  DType iterates_in = DType::kBF16;  // of the products; f32 where the device has no fast bf16
  // Of AdamW, for the rest.
  double beta1 = 0.9;
  double beta2 = 0.95;
  double eps = 1e-8;
  MasterWeights master_weights = MasterWeights::kF32;  // of 16-bit parameters
};

struct MuonParameters {
  std::vector<ParameterGroup> matrices;   // stepped by Muon
  std::vector<ParameterGroup> rest = {};  // by AdamW: embeddings, output layer, biases, norms
};

/// buffer = momentum buffer + g;  p -= lr (scale orthogonalised(g + momentum buffer) + decay p).
/// Each matrix costs 15 products over its shorter side per step (core/optim/newton_schulz.h).
/// Parameters are matrices [in, out]; of higher rank, filters [out, ..], whose later dimensions are
/// taken as one. Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024;
/// kLikeAdam and decay: Liu et al., "Muon is scalable for LLM training", 2025.
class Muon final : public Optimizer {
 public:
  /// Requires at least one parameter, rank 2 or more for `matrices`, momentum in [0, 1).
  Muon(MuonParameters parameters, MuonOptions options);

 private:
  void update(const Update& update) override;
  void step_matrices(const Update& update) const;
  MuonOptions options_;
};

}  // namespace trireme
