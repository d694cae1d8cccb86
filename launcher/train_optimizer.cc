#include "launcher/train_optimizer.h"

#include <algorithm>
#include <type_traits>

#include "core/optim/adagrad.h"
#include "core/optim/adam.h"
#include "core/optim/lion.h"
#include "core/optim/muon.h"
#include "core/optim/rms_prop.h"
#include "core/optim/sgd.h"
#include "core/optim/trust.h"

namespace trireme {
namespace {

constexpr char kRate[] = "schedule.lr";
constexpr char kBest[] = "schedule.best";
constexpr char kBad[] = "schedule.bad";
constexpr char kValidation[] = "schedule.last_validation";
constexpr double kRise = 25;  // of one-cycle, over its warm-up

bool is_embedding(const std::string& name) {
  return name.starts_with("wte.") || name.starts_with("wpe.") ||
         name.find("embedding") != std::string::npos;
}

/// The matrix of the output layer, "" where it is an embedding's.
std::string output_layer(const StateDict& parameters) {
  std::string last;
  for (const auto& [name, p] : parameters) {
    if (name.starts_with("wte.")) return "";  // tied
    if (is_matrix(name, p)) last = name;
  }
  return last;
}

std::unique_ptr<Optimizer> make_muon(const TrainOptions& o, const StateDict& parameters,
                                     MasterWeights master) {
  const std::string output = output_layer(parameters);
  StateDict hidden, rest;
  for (const auto& entry : parameters) {
    const auto& [name, p] = entry;
    const bool is_hidden = is_matrix(name, p) && !is_embedding(name) && name != output;
    (is_hidden ? hidden : rest).push_back(entry);
  }
  // Where products are in bf16, those of the iteration are.
  const bool in_f32 = o.precision == "f32" || o.precision == "f16";
  return std::make_unique<Muon>(
      MuonParameters{.matrices = decay_matrices_only(hidden, o.weight_decay),
                     .rest = decay_matrices_only(rest, o.weight_decay)},
      MuonOptions{.lr = o.lr,
                  .momentum = o.momentum,
                  .iterates_in = in_f32 ? DType::kF32 : DType::kBF16,
                  .beta1 = o.beta1,
                  .beta2 = o.beta2,
                  .master_weights = master});
}

double min_lr(const TrainOptions& o) { return o.min_lr >= 0 ? o.min_lr : o.lr / 10; }

}  // namespace

std::unique_ptr<Optimizer> make_optimizer(const TrainOptions& o, const StateDict& parameters) {
  const MasterWeights master =
      o.stochastic_rounding ? MasterWeights::kStochastic : MasterWeights::kF32;
  if (o.optimizer == "muon") return make_muon(o, parameters, master);
  std::vector<ParameterGroup> groups = decay_matrices_only(parameters, o.weight_decay);
  const auto make = [&]<typename O>(std::type_identity<O>, auto options) {
    options.lr = o.lr;
    options.master_weights = master;
    return std::unique_ptr<Optimizer>(std::make_unique<O>(std::move(groups), options));
  };
  const AdamOptions adam{.beta1 = o.beta1, .beta2 = o.beta2};
  if (o.optimizer == "adamw") return make(std::type_identity<AdamW>(), adam);
  if (o.optimizer == "adam") return make(std::type_identity<Adam>(), adam);
  if (o.optimizer == "adagrad") return make(std::type_identity<Adagrad>(), AdagradOptions{});
  if (o.optimizer == "rmsprop") {
    return make(std::type_identity<RmsProp>(),
                RmsPropOptions{.alpha = o.alpha, .momentum = o.momentum, .centered = o.centered});
  }
  if (o.optimizer == "lion") {
    return make(std::type_identity<Lion>(), LionOptions{.beta1 = o.beta1, .beta2 = o.beta2});
  }
  if (o.optimizer == "lamb") {
    return make(std::type_identity<Lamb>(), LambOptions{.beta1 = o.beta1, .beta2 = o.beta2});
  }
  if (o.optimizer == "lars") {
    return make(std::type_identity<Lars>(), LarsOptions{.momentum = o.momentum, .trust = o.trust});
  }
  return make(std::type_identity<Sgd>(), SgdOptions{.momentum = o.momentum});
}

TrainSchedule::TrainSchedule(const TrainOptions& options)
    : options_(options),
      plateau_{.lr = options.lr,
               .factor = options.plateau_factor,
               .patience = options.plateau_patience,
               .min_lr = min_lr(options),
               .warmup = options.warmup} {}

double TrainSchedule::at(int64_t step) const {
  const TrainOptions& o = options_;
  const double least = min_lr(o);
  if (o.schedule == "constant") return ConstantSchedule{.lr = o.lr, .warmup = o.warmup}.at(step);
  if (o.schedule == "linear") {
    return LinearSchedule{.lr = o.lr, .min_lr = least, .warmup = o.warmup, .steps = o.steps}.at(
        step);
  }
  if (o.schedule == "inverse-sqrt") {
    return InverseSqrtSchedule{.lr = o.lr, .warmup = o.warmup}.at(step);
  }
  if (o.schedule == "one-cycle") {
    const double part =
        static_cast<double>(o.warmup) / static_cast<double>(std::max<int64_t>(1, o.steps));
    return OneCycleSchedule{.lr = o.lr,
                            .steps = std::max<int64_t>(1, o.steps),
                            .warm_part = std::min(1.0, part),
                            .rise = kRise,
                            .fall = o.lr / (kRise * least)}
        .at(step);
  }
  if (o.schedule == "plateau") return plateau_.at(step);
  return CosineSchedule{.lr = o.lr, .min_lr = least, .warmup = o.warmup, .steps = o.steps}.at(step);
}

void TrainSchedule::validated(int64_t step, double loss) {
  if (options_.schedule != "plateau" || step <= last_validation_) return;
  last_validation_ = step;
  plateau_.observe(loss);
}

void TrainSchedule::save(StateValues& state) const {
  if (options_.schedule != "plateau") return;
  state.set_double(kRate, plateau_.lr);
  state.set_double(kBest, plateau_.best);
  state.set_int(kBad, plateau_.bad);
  state.set_int(kValidation, last_validation_);
}

void TrainSchedule::restore(const StateValues& state) {
  if (options_.schedule != "plateau" || !state.has(kRate)) return;
  plateau_.lr = state.get_double(kRate);
  plateau_.best = state.get_double(kBest);
  plateau_.bad = state.get_int(kBad);
  last_validation_ = state.get_int(kValidation);
}

}  // namespace trireme
