// Random programs of 50 ops: against torch (make_fuzz.py), and against numerical differentiation.
//
// TRIREME_FUZZ_PROGRAMS is the number of programs for the latter, TRIREME_FUZZ_SEED the first seed:
//   TRIREME_FUZZ_PROGRAMS=10000 golden_test --gtest_filter='Fuzz.*'

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <set>
#include <string>

#include "core/autograd/no_grad.h"
#include "core/ops/ops.h"
#include "tests/golden/fuzz_program.h"
#include "tests/golden/random_program.h"
#include "tests/support/test_device.h"

namespace trireme::testing {
namespace {

constexpr int kSteps = 50;
constexpr char kNotOnAGpu[] =
    "random programs learn from exceptions what fits; a GPU refuses a bad index by the next wait";

TEST(Fuzz, ProgramsHaveTorchsLossAndGradients) {
  std::ifstream file(TRIREME_GOLDEN_DIR "/fuzz.json");
  const auto programs = nlohmann::json::parse(file);
  ASSERT_GE(programs.size(), 40u);
  for (const auto& entry : programs) {
    SCOPED_TRACE(concat("seed ", entry.at("seed").get<int>()));
    const Program program = parse_program(entry);
    const Differentiated got = differentiate(program);
    const double loss = entry.at("loss");
    EXPECT_NEAR(got.loss, loss, 1e-10 * std::max(1.0, std::abs(loss)));
    const auto& gradients = entry.at("gradients");
    for (size_t i = 0; i < gradients.size(); ++i) {
      ASSERT_EQ(got.gradients[i].defined(), !gradients[i].is_null()) << "input " << i;
      if (gradients[i].is_null()) continue;
      const auto want = gradients[i].get<std::vector<double>>();
      const auto values = got.gradients[i].to_vector<double>();
      double largest = 1;
      for (double v : want) largest = std::max(largest, std::abs(v));
      for (size_t k = 0; k < want.size(); ++k) {
        ASSERT_NEAR(values[k], want[k], 1e-9 * largest) << "input " << i << ", element " << k;
      }
    }
  }
}

int64_t from_environment(const char* name, int64_t fallback) {
  const char* text = std::getenv(name);
  return text ? std::atoll(text) : fallback;
}

/// The inputs, with the real ones moved by `step` times their directions.
std::vector<Tensor> moved(const Program& program, const std::vector<Tensor>& directions,
                          double step) {
  std::vector<Tensor> inputs = program.inputs;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (directions[i]) inputs[i] = inputs[i] + directions[i] * step;
  }
  return inputs;
}

TEST(Fuzz, GradientsAreDifferencesAlongARandomDirection) {
  if (!test_device().is_cpu()) GTEST_SKIP() << kNotOnAGpu;
  const int64_t first = from_environment("TRIREME_FUZZ_SEED", 1);
  const int64_t count = from_environment("TRIREME_FUZZ_PROGRAMS", 40);
  for (int64_t seed = first; seed < first + count; ++seed) {
    const Program program = make_random_program(static_cast<uint64_t>(seed), kSteps);
    const Differentiated got = differentiate(program);
    Generator generator(static_cast<uint64_t>(seed));
    std::vector<Tensor> directions;
    double slope = 0, scale = 1;
    for (size_t i = 0; i < program.inputs.size(); ++i) {
      const Tensor& x = program.inputs[i];
      const bool is_real = x.dtype() == DType::kF64;
      directions.push_back(is_real ? randn(x.shape(), generator, {x.dtype(), x.device()})
                                   : Tensor());
      if (!is_real || !got.gradients[i]) continue;
      const Tensor parts = got.gradients[i] * directions[i];
      slope += sum(parts).item();
      scale += sum(abs(parts)).item();
    }
    const NoGrad guard;
    const auto difference = [&](double h) {
      return (loss_of(program, moved(program, directions, h)).item() -
              loss_of(program, moved(program, directions, -h)).item()) /
             (2 * h);
    };
    // Two steps: their difference tells how far differences are from a derivative. Where it is
    // large, a kink is nearer than the margins promise, or the loss is steep: then smaller steps.
    const double smooth = 1e-4 * scale;
    double step = 1e-5, near = difference(step), far = difference(2 * step);
    while (std::abs(far - near) > smooth && step > 2e-8) {
      step /= 10;
      near = difference(step), far = difference(2 * step);
    }
    ASSERT_LE(std::abs(far - near), smooth) << "not smooth: seed " << seed << describe(program);
    const double bound = 1e-7 * scale + 4 * std::abs(far - near);
    ASSERT_NEAR(slope, near, bound) << "seed " << seed << describe(program);
  }
}

// A proposal that is never accepted would test nothing.
TEST(Fuzz, TakesEveryOpItProposes) {
  if (!test_device().is_cpu()) GTEST_SKIP() << kNotOnAGpu;
  std::set<std::string> taken;
  for (uint64_t seed = 1; seed <= 600; ++seed) {
    for (const Step& step : make_random_program(seed, kSteps).steps) taken.insert(step.op);
  }
  EXPECT_EQ(taken, random_program_ops());
}

}  // namespace
}  // namespace trireme::testing
