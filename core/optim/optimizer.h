// Optimizer: what SGD, Adam and AdamW share: parameter groups, state and gradient scaling.
//
//   AdamW optimizer(decay_matrices_only(model.named_parameters(), 0.1), {.beta2 = 0.95});
//   backward(loss);
//   optimizer.step(clip_factor(grad_norm(optimizer.parameters()), 1.0));
//   optimizer.zero_grad();
//
// step() updates each parameter in one fused pass, without temporaries. A parameter without a
// gradient is left alone: neither its moments nor its count of updates change. State is kept by
// parameter name, so a checkpoint loads whatever the order or the number of ranks; load_state
// (core/checkpoint/load_state.h) writes it back. Not thread-safe.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/tensor/state_dict.h"

namespace trireme {

/// What may differ between groups. The learning rate of a group is the optimizer's times lr_factor.
struct GroupOptions {
  double weight_decay = 0;
  double lr_factor = 1;
};

struct ParameterGroup {
  StateDict parameters;
  GroupOptions options;
};

/// Two groups: weight decay for matrices and larger, none for biases and norms (rank below 2).
std::vector<ParameterGroup> decay_matrices_only(const StateDict& parameters, double weight_decay);

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  /// One update with the gradients as they are times `grad_scale`. Clipping passes its factor here,
  /// so that it needs no pass of its own.
  void step(double grad_scale = 1);
  void zero_grad();

  double lr() const { return lr_; }
  void set_lr(double lr);

  /// The whole state but the learning rate, by parameter: moments ("exp_avg.wte.weight"), zero at
  /// first, and the number of updates ("updates.wte.weight", an i64 scalar). Handles: writing into
  /// them restores it.
  StateDict state_dict() const;

  /// All parameters of all groups, in order.
  StateDict parameters() const;

 protected:
  /// Names must be unique over all groups, parameters floating-point leaves and contiguous. One zero
  /// tensor per parameter and name in `moments` is kept. lr must not be negative.
  Optimizer(std::vector<ParameterGroup> groups, double lr, std::vector<std::string> moments);

  struct Update {
    const Tensor& parameter;
    const Tensor& gradient;
    const std::vector<Tensor>& moments;  // as named at construction
    const GroupOptions& options;
    double lr = 0;  // of this group
    double grad_scale = 1;
    int64_t step = 1;  // number of this update of this parameter, from 1
  };
  virtual void update(const Update& update) = 0;

 private:
  struct Entry {
    std::string name;
    Tensor parameter;
    std::vector<Tensor> moments;
    Tensor updates;  // rank 0, on the CPU
    GroupOptions options;
  };
  std::vector<Entry> entries_;
  std::vector<std::string> moment_names_;
  double lr_ = 0;
};

}  // namespace trireme
