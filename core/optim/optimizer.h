// Optimizer: what all optimizers share: parameter groups, state and gradient scaling.
//
//   AdamW optimizer(decay_matrices_only(model.named_parameters(), 0.1), {.beta2 = 0.95});
//   backward(loss);
//   optimizer.step(clip_grad_norm(optimizer.parameters(), 1.0).factor);
//   optimizer.zero_grad();
//
// step() updates all parameters of a group in one fused pass, without temporaries: one call of one
// kernel, as long as they have had equally many updates. A parameter without a gradient is left
// alone: neither its moments nor its count of updates change. State is kept by parameter name, so a
// checkpoint loads whatever the order or the number of ranks; load_state
// (core/checkpoint/load_state.h) writes it back. Not thread-safe.
//
// 16-bit parameters keep a master copy in f32, which is what is stepped; the parameter is that,
// rounded. Without it, steps below 1/256 of a bf16 weight (1/2048 of an f16 one) would be lost,
// unless bf16 is rounded at random (MasterWeights::kStochastic). Micikevicius et al., "Mixed
// precision training", 2018.

#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/optim/optimizer_update.h"
#include "core/tensor/state_dict.h"

namespace trireme {

/// What 16-bit parameters have beside themselves; others never need it.
enum class MasterWeights {
  kF32,
  kNone,
  /// None, and bf16 parameters are rounded up or down at random, right on average
  /// (kernels/stochastic_rounding.h): small steps then add up, and the f32 copies' memory is saved.
  /// The bits follow from a parameter's place and the number of its updates, so that all ranks and
  /// resumed runs round alike. f16 parameters are refused.
  kStochastic,
};

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  /// One update with the gradients as they are.
  void step() { step(Tensor()); }
  /// One update with the gradients times `grad_factor`, an f64 scalar on their device, as from
  /// clip_grad_norm (core/optim/clip.h): clipping and loss scaling need no pass of their own, and
  /// nobody waits for the factor. Where it is 0 parameters and moments stay as they are and the
  /// update does not count; on a CUDA device it does, unless the schedule is kept there, because
  /// the host cannot know.
  void step(const Tensor& grad_factor);
  void zero_grad();

  double lr() const { return lr_; }
  void set_lr(double lr);

  /// For steps that are captured once and replayed (core/cuda/graph.h): from now on learning rate
  /// and number of updates lie beside the parameters, where every step, replayed ones too, reads
  /// and counts them. set_lr() then queues a copy, so it is called between replays, not in the
  /// captured step. Requires that all parameters lie on one device and have had equally many
  /// updates; each step then needs the gradients of all of them. Reading state_dict() waits for the
  /// device. Load a checkpoint before.
  void keep_schedule_on_device();

  /// The whole state but the learning rate, by parameter: moments ("exp_avg.wte.weight"), zero at
  /// first, in f32 for 16-bit parameters; their f32 form ("master.wte.weight"); and the number of
  /// updates ("updates.wte.weight", an i64 scalar). Handles: writing into them restores it. A
  /// parameter that was written into (loaded, initialised) takes its master with it where it is no
  /// longer that, rounded, unless the master was written, too.
  StateDict state_dict() const;

  /// All parameters of all groups, in order.
  StateDict parameters() const;

 protected:
  /// Groups that one rule steps, and the names of the moments that it keeps.
  struct RuleGroups {
    std::vector<ParameterGroup> groups;
    std::vector<std::string> moments;
  };
  /// Names must be unique over all groups, parameters floating leaves and contiguous. One zero
  /// tensor per parameter and name in `moments` is kept. lr must not be negative.
  Optimizer(std::vector<RuleGroups> rules, double lr, MasterWeights master);
  Optimizer(std::vector<ParameterGroup> groups, double lr, std::vector<std::string> moments,
            MasterWeights master);

  using Update = OptimizerUpdate;
  using Part = OptimizerUpdate::Part;
  virtual void update(const Update& update) = 0;

 private:
  struct Entry {
    std::string name;
    Tensor parameter;
    Tensor master = {};  // undefined where there is none
    std::vector<Tensor> moments = {};
    Tensor updates = {};  // rank 0, on the CPU
    GroupOptions options = {};
    int rule = 0;
    uint64_t rounding_block = 0;
    // Of parameter and master when they last agreed.
    mutable uint32_t parameter_version = 0, master_version = 0;

    void refresh_master() const;
    void note_versions() const;
  };
  void add_entry(Entry entry, const std::vector<std::string>& moments, MasterWeights master);
  Update& update_for(const Entry& entry, const double* grad_factor);
  void check_step(const Tensor& grad_factor) const;
  void count_on_device(const Tensor& grad_factor);

  std::vector<Entry> entries_;
  std::vector<std::vector<std::string>> moment_names_;  // by rule
  uint64_t rounding_blocks_ = 0;  // of all bf16 parameters that are rounded at random
  std::vector<Update> updates_;   // of the running step; kept for its memory
  double lr_ = 0;
  // f64 scalars on the device, or undefined; the first two are views of one pair.
  Tensor device_lr_, device_updates_, one_, zero_;
};

}  // namespace trireme
