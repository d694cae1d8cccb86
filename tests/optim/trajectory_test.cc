// Optimizers against trajectories of torch.optim (tests/golden/make_optimizers.py).

#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "core/autograd/backward.h"
#include "core/ops/ops.h"
#include "core/optim/adagrad.h"
#include "core/optim/adam.h"
#include "core/optim/rms_prop.h"
#include "core/optim/sgd.h"

namespace trireme {
namespace {

using Make = std::function<std::unique_ptr<Optimizer>(const Tensor&)>;

template <typename O, typename Options>
Make make(Options options, double decay = 0) {
  return [=](const Tensor& x) {
    return std::make_unique<O>(std::vector{ParameterGroup{{{"x", x}}, {.weight_decay = decay}}},
                               options);
  };
}
Make sgd(SgdOptions options, double decay = 0) { return make<Sgd>(options, decay); }
template <typename A>
Make adam(AdamOptions options, double decay = 0) {
  return make<A>(options, decay);
}
Make adagrad(AdagradOptions options, double decay = 0) { return make<Adagrad>(options, decay); }
Make rms_prop(RmsPropOptions options, double decay = 0) { return make<RmsProp>(options, decay); }

const std::map<std::string, Make> kCases = {
    {"sgd", sgd({.lr = 0.1})},
    {"sgd_decay", sgd({.lr = 0.1}, 0.2)},
    {"sgd_momentum", sgd({.lr = 0.05, .momentum = 0.9})},
    {"sgd_dampening", sgd({.lr = 0.05, .momentum = 0.9, .dampening = 0.4}, 0.1)},
    {"sgd_nesterov", sgd({.lr = 0.05, .momentum = 0.8, .nesterov = true}, 0.1)},
    {"adam", adam<Adam>({.lr = 0.1})},
    {"adam_l2", adam<Adam>({.lr = 0.1, .beta1 = 0.8, .beta2 = 0.95, .eps = 1e-3}, 0.3)},
    {"adamw", adam<AdamW>({.lr = 0.1})},
    {"adamw_decay", adam<AdamW>({.lr = 0.1, .beta1 = 0.8, .beta2 = 0.95, .eps = 1e-3}, 0.3)},
    {"adagrad", adagrad({.lr = 0.1})},
    {"adagrad_all", adagrad({.lr = 0.2, .lr_decay = 0.1, .initial_sum = 0.5, .eps = 1e-3}, 0.3)},
    {"rms_prop", rms_prop({.lr = 0.05})},
    {"rms_prop_momentum", rms_prop({.lr = 0.02, .alpha = 0.9, .momentum = 0.8}, 0.1)},
    {"rms_prop_centered", rms_prop({.lr = 0.05, .alpha = 0.9, .eps = 1e-3, .centered = true})},
    {"rms_prop_all",
     rms_prop({.lr = 0.02, .alpha = 0.8, .eps = 1e-3, .momentum = 0.5, .centered = true}, 0.2)},
};

nlohmann::json golden() {
  std::ifstream file(TRIREME_GOLDEN_DIR "/optimizers.json");
  return nlohmann::json::parse(file);
}

class Trajectory : public ::testing::TestWithParam<std::string> {};

INSTANTIATE_TEST_SUITE_P(Optimizers, Trajectory, ::testing::ValuesIn([] {
                           std::vector<std::string> names;
                           for (const auto& [name, make] : kCases) names.push_back(name);
                           return names;
                         }()),
                         [](const auto& instance) { return instance.param; });

void follow(const std::string& name, DType dtype, double tolerance) {
  const nlohmann::json file = golden();
  const auto vector_of = [&](const char* key) {
    const auto values = file.at(key).get<std::vector<double>>();
    return cast(from_vector(values, {static_cast<int64_t>(values.size())}), dtype);
  };
  Tensor x = clone_detached(vector_of("start"));
  x.set_requires_grad();
  const Tensor c = vector_of("c"), t = vector_of("t"), w = vector_of("w");
  const std::unique_ptr<Optimizer> optimizer = kCases.at(name)(x);
  const auto points = file.at("trajectories").at(name).get<std::vector<std::vector<double>>>();
  ASSERT_FALSE(points.empty());
  for (size_t step = 0; step < points.size(); ++step) {
    backward(sum(c * square(x - t)) + sum(w * x));
    optimizer->step();
    optimizer->zero_grad();
    const auto at = x.to_vector<double>();
    for (size_t i = 0; i < at.size(); ++i) {
      EXPECT_NEAR(at[i], points[step][i], tolerance) << "step " << step << " element " << i;
    }
  }
}

TEST_P(Trajectory, IsTorchsInF64) { follow(GetParam(), DType::kF64, 1e-12); }
TEST_P(Trajectory, IsTorchsInF32) { follow(GetParam(), DType::kF32, 5e-6); }

TEST(Trajectories, AreAllCovered) {
  const nlohmann::json file = golden();
  EXPECT_EQ(file.at("trajectories").size(), kCases.size());
}

}  // namespace
}  // namespace trireme
