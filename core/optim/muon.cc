#include "core/optim/muon.h"

#include <algorithm>
#include <cmath>

#include "core/ops/ops.h"
#include "core/optim/adam.h"
#include "core/optim/newton_schulz.h"
#include "core/tensor/view.h"
#include "kernels/optimizer_rules.h"

namespace trireme {
namespace {

constexpr int kMatrices = 0;  // the rule of MuonParameters::matrices

double scale_of(MuonScale scale, const Tensor& parameter) {
  const bool is_matrix = parameter.rank() == 2;
  const auto out = static_cast<double>(parameter.size(is_matrix ? 1 : 0));
  const double in = static_cast<double>(parameter.numel()) / out;
  return scale == MuonScale::kLikeAdam ? 0.2 * std::sqrt(std::max(in, out))
                                       : std::sqrt(std::max(1.0, out / in));
}

}  // namespace

Muon::Muon(MuonParameters parameters, MuonOptions options)
    : Optimizer({{std::move(parameters.matrices), {"momentum"}},
                 {std::move(parameters.rest), {"exp_avg", "exp_avg_sq"}}},
                options.lr, options.master_weights),
      options_(options) {
  require(options.momentum >= 0 && options.momentum < 1, "muon", "momentum must be in [0, 1), got ",
          options.momentum);
  require(is_floating(options.iterates_in), "muon", "iterates_in must be floating, got ",
          options.iterates_in);
  detail::check_betas("muon", options.beta1, options.beta2, options.eps);
  const StateDict state = state_dict();
  for (const auto& [name, moment] : state) {
    require(!name.starts_with("momentum.") || (moment.rank() >= 2 && moment.numel() > 0), "muon",
            "steps matrices, ", name.substr(name.find('.') + 1), " has shape ", moment.shape(),
            "; put it into `rest`");
  }
}

void Muon::update(const Update& u) {
  if (u.rule == kMatrices) return step_matrices(u);
  u.step_by("muon", kernels::AdamRule{
                        .beta1 = options_.beta1, .beta2 = options_.beta2, .eps = options_.eps});
}

void Muon::step_matrices(const Update& u) const {
  std::vector<Tensor> directions;
  for (const Part& part : u.parts) {
    // Zeros, because a step that is left out writes nothing here.
    directions.push_back(zeros(part.parameter.shape(), {acc_dtype(u.dtype()), u.device()}));
  }
  const kernels::MuonMomentumRule momentum{
      .momentum = options_.momentum,
      .form = options_.nesterov ? kernels::Momentum::kNesterov : kernels::Momentum::kPlain};
  const auto pass = [&](size_t state, const auto& rule) {
    u.on_spans("muon", [&]<typename T>(auto on, const kernels::StepOptions& step,
                                       std::vector<kernels::StepSpan<T>>& spans) {
      for (size_t i = 0; i < spans.size(); ++i) {
        spans[i].state[state] = directions[i].template data<Acc<T>>();
      }
      kernels::step_all<T>(on, step, rule, spans);
    });
  };
  pass(1, momentum);
  for (Tensor& direction : directions) {
    const Shape shape = direction.shape();
    const Tensor matrix = views::reshape(direction, {shape[0], direction.numel() / shape[0]});
    const Tensor step =
        orthogonalised(matrix, options_.iterates_in, scale_of(options_.scale, direction));
    direction = views::reshape(cast(step, direction.dtype()), shape);
  }
  pass(0, kernels::DirectionRule{});
}

}  // namespace trireme
