// Who computes a recurrent layer, cuDNN or our own kernels, and where cuDNN wants its weights.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "core/base/error.h"
#include "kernels/cudnn_recurrent_layers.h"
#include "tests/kernels/cudnn_host_recurrent.h"
#include "tests/kernels/cudnn_mock.h"
#include "tests/kernels/host_device.h"
#include "tests/support/message_of.h"

namespace trireme::kernels {
namespace {

using testing::CudnnMock;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::HostDevice;
using ::testing::Not;

constexpr RecurrentLayerShape kShape{RecurrentKind::kLstm, 3, 2, 4, 5, true, true};

struct Layers {
  CudnnMock mock;
  std::vector<int> ran;  // algorithms; -1 is our own
  double ms_of_own = 2;
  // cuDNN's usual algorithm takes 3 ms, the one that keeps weights on the chip 1.
  HostDevice device{[this] { return ran.back() == -1 ? ms_of_own : ran.back() == 0 ? 3.0 : 1.0; }};
  std::unique_ptr<CudnnLibrary> cudnn;
  RecurrentChoices choices;
  std::unique_ptr<CudnnRecurrentLayers> layers;
  bool is_broken = false;
  int too_large = -1;  // an algorithm

  explicit Layers(CudnnOptions options = {}) {
    mock.state().recurrent_algorithms = {CUDNN_RNN_ALGO_STANDARD, CUDNN_RNN_ALGO_PERSIST_STATIC};
    cudnn = std::make_unique<CudnnLibrary>(mock.api(), device, options);
    layers = std::make_unique<CudnnRecurrentLayers>(*cudnn, choices);
  }
  ~Layers() {
    EXPECT_EQ(mock.state().complaint, "");
    layers.reset();
    cudnn.reset();
    EXPECT_EQ(mock.state().live_objects, 0);
  }

  /// The algorithm chosen; -1: our own kernels.
  int choose(const RecurrentLayerShape& shape = kShape, cudnnDataType_t type = CUDNN_DATA_HALF) {
    const auto plan = layers->choose(
        shape, type, nullptr, [this] { ran.push_back(-1); },
        [this](const RecurrentPlan& tried) {
          if (is_broken) throw CudaError("lstm: broken");
          if (tried.algorithm == too_large) throw OutOfMemory("lstm: out of memory");
          ran.push_back(tried.algorithm);
        });
    return plan ? plan->algorithm : -1;
  }
};

TEST(CudnnRecurrent, TheFastestIsKeptForTheShape) {
  Layers all({.deterministic = false});
  EXPECT_EQ(all.choose(), CUDNN_RNN_ALGO_PERSIST_STATIC);
  EXPECT_EQ(all.device.timings, 3);
  EXPECT_EQ(all.choose(), CUDNN_RNN_ALGO_PERSIST_STATIC);
  EXPECT_EQ(all.device.timings, 3);
  all.ms_of_own = 0.5;
  RecurrentLayerShape longer = kShape;
  longer.steps = 7;
  EXPECT_EQ(all.choose(longer), -1);
  EXPECT_EQ(all.choose(longer), -1);
  EXPECT_EQ(all.device.timings, 6);
}

TEST(CudnnRecurrent, WhatIsNotKnownToBeDeterministicIsNotTried) {
  {
    Layers all;
    EXPECT_EQ(all.choose(), -1);  // 2 ms against 3
    all.ms_of_own = 4;
    EXPECT_EQ(all.choose(kShape, CUDNN_DATA_FLOAT), CUDNN_RNN_ALGO_STANDARD);
  }
  Layers wide({.deterministic = false});
  EXPECT_EQ(wide.choose(kShape, CUDNN_DATA_DOUBLE), -1);
  EXPECT_THAT(std::vector(wide.ran.begin(), wide.ran.begin() + 1), ElementsAre(0));
  EXPECT_EQ(wide.device.timings, 2);
}

TEST(CudnnRecurrent, NothingIsDecidedDuringACapture) {
  Layers all({.deterministic = false});
  all.device.is_capturing = true;
  EXPECT_EQ(all.choose(), -1);
  EXPECT_EQ(all.device.timings, 0);
  all.device.is_capturing = false;
  EXPECT_EQ(all.choose(), CUDNN_RNN_ALGO_PERSIST_STATIC);
  all.device.is_capturing = true;
  EXPECT_EQ(all.choose(), CUDNN_RNN_ALGO_PERSIST_STATIC);
}

TEST(CudnnRecurrent, AnotherThreadsChoiceHolds) {
  Layers all({.deterministic = false});
  EXPECT_EQ(all.choose(), CUDNN_RNN_ALGO_PERSIST_STATIC);
  CudnnRecurrentLayers others(*all.cudnn, all.choices);
  const auto plan = others.choose(kShape, CUDNN_DATA_HALF, nullptr, nullptr, nullptr);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->algorithm, CUDNN_RNN_ALGO_PERSIST_STATIC);
  EXPECT_EQ(others.layer(kShape, CUDNN_DATA_HALF, plan->algorithm, nullptr).reserve_bytes(),
            static_cast<size_t>(plan->reserve_bytes));
}

TEST(CudnnRecurrent, TheOptionsForceEither) {
  EXPECT_EQ(Layers({.cudnn_or_own = CudnnUse::kOwn}).choose(), -1);
  EXPECT_EQ(Layers({.tune = false}).choose(), -1);
  Layers forced({.tune = false, .cudnn_or_own = CudnnUse::kCudnn});
  EXPECT_EQ(forced.choose(), CUDNN_RNN_ALGO_STANDARD);
  EXPECT_TRUE(forced.ran.empty());
}

TEST(CudnnRecurrent, ARefusedAlgorithmLeavesTheOthers) {
  {
    Layers all({.deterministic = false});
    all.ms_of_own = 4;
    all.mock.state().recurrent_algorithms = {CUDNN_RNN_ALGO_STANDARD};
    EXPECT_EQ(all.choose(), CUDNN_RNN_ALGO_STANDARD);
  }
  {
    Layers none({.cudnn_or_own = CudnnUse::kCudnn});
    none.mock.state().recurrent_algorithms.clear();
    EXPECT_EQ(none.choose(), -1);
  }
  Layers broken;
  broken.is_broken = true;
  EXPECT_EQ(broken.choose(), -1);
}

TEST(CudnnRecurrent, ProductsInF32RoundNothingUnlessAllowed) {
  const auto math = [](cudnnDataType_t type, bool tf32) {
    Layers all({.tf32 = tf32});
    all.layers->layer(kShape, type, CUDNN_RNN_ALGO_STANDARD, nullptr);
    return all.mock.state().recurrent_math;
  };
  EXPECT_EQ(math(CUDNN_DATA_FLOAT, false), CUDNN_FMA_MATH);
  EXPECT_EQ(math(CUDNN_DATA_FLOAT, true), CUDNN_DEFAULT_MATH);
  EXPECT_EQ(math(CUDNN_DATA_DOUBLE, true), CUDNN_DEFAULT_MATH);
  EXPECT_EQ(math(CUDNN_DATA_HALF, false), CUDNN_TENSOR_OP_MATH);
  EXPECT_EQ(math(CUDNN_DATA_BFLOAT16, false), CUDNN_TENSOR_OP_MATH);
}

TEST(CudnnRecurrent, ARefusalIsNoWarning) {
  const auto logged = [](bool is_broken) {
    Layers all;
    all.mock.state().recurrent_algorithms.clear();
    if (is_broken) all.mock.state().fail_at = all.mock.state().calls;
    ::testing::internal::CaptureStderr();
    EXPECT_EQ(all.choose(), -1);
    return ::testing::internal::GetCapturedStderr();
  };
  EXPECT_THAT(logged(false), HasSubstr("cuDNN's algorithm 0 is left out"));
  EXPECT_THAT(logged(false), Not(HasSubstr("warning")));
  EXPECT_THAT(logged(true), HasSubstr("warning"));
}

TEST(CudnnRecurrent, AnAlgorithmForWhichThereIsNoMemoryIsLeftOut) {
  {
    Layers all({.deterministic = false});
    all.ms_of_own = 4;
    all.too_large = CUDNN_RNN_ALGO_PERSIST_STATIC;
    EXPECT_EQ(all.choose(), CUDNN_RNN_ALGO_STANDARD);
  }
  Layers none;
  none.device.lacks_memory = [](int) { return true; };
  EXPECT_EQ(none.choose(), -1);
}

TEST(CudnnRecurrent, AnErrorAtAnyCallThatDescribesALayerLeavesOurOwnKernels) {
  int calls = 0;
  for (int call = 0; call == 0 || call < calls; ++call) {
    Layers all({.cudnn_or_own = CudnnUse::kCudnn});
    const int before = all.mock.state().calls;
    if (calls > 0) all.mock.state().fail_at = before + call - 1;
    EXPECT_EQ(all.choose(), calls > 0 ? -1 : CUDNN_RNN_ALGO_STANDARD) << call;
    if (calls == 0) calls = all.mock.state().calls - before + 1;
  }
  EXPECT_GT(calls, 30);
}

TEST(CudnnRecurrent, FindsEveryGateWhereCudnnKeepsIt) {
  Layers all;
  for (RecurrentKind kind : {RecurrentKind::kLstm, RecurrentKind::kGru, RecurrentKind::kTanh}) {
    RecurrentLayerShape shape = kShape;
    shape.kind = kind;
    const auto places = all.layers->layer(shape, CUDNN_DATA_FLOAT, 0, nullptr).places();
    const int64_t gates = shape.gates();
    const testing::HostRecurrent host{gates == 4   ? CUDNN_LSTM
                                      : gates == 3 ? CUDNN_GRU
                                                   : CUDNN_RNN_TANH,
                                      true,
                                      CUDNN_DATA_FLOAT,
                                      3,
                                      2,
                                      4,
                                      5};
    for (int64_t k = 0; k < gates; ++k) {
      EXPECT_EQ(places.input.first + k * places.input.step, host.matrix_at(k));
      EXPECT_EQ(places.hidden.first + k * places.hidden.step, host.matrix_at(gates + k));
      EXPECT_EQ(places.input_bias.first + k * places.input_bias.step, host.bias_at(k));
      EXPECT_EQ(places.hidden_bias.first + k * places.hidden_bias.step, host.bias_at(gates + k));
    }
  }
}

/// The mock's functions, for those that stand in front of them.
CudnnApi& real_api() {
  static CudnnApi api;
  return api;
}

/// What is said of a cuDNN whose weight number 2 is `crooked` after the mock has described it.
using Bend = void (*)(cudnnTensorDescriptor_t matrix, void** matrix_at);
std::string message_where_weight_2_is(Bend crooked) {
  Layers all;
  static Bend bend;
  real_api() = all.mock.api();
  bend = crooked;
  CudnnApi api = real_api();
  api.GetRNNWeightParams = [](cudnnHandle_t handle, cudnnRNNDescriptor_t rnn, int32_t layer,
                              size_t bytes, const void* space, int32_t number,
                              cudnnTensorDescriptor_t matrix, void** matrix_at,
                              cudnnTensorDescriptor_t bias, void** bias_at) {
    const cudnnStatus_t status = real_api().GetRNNWeightParams(
        handle, rnn, layer, bytes, space, number, matrix, matrix_at, bias, bias_at);
    if (matrix && number == 2) bend(matrix, matrix_at);
    return status;
  };
  CudnnLibrary library(api, all.device, {});
  CudnnRecurrentLayers layers(library, all.choices);
  return testing::message_of<CudaError>(
      [&] { layers.layer(kShape, CUDNN_DATA_FLOAT, 0, nullptr); });
}

TEST(CudnnRecurrent, RefusesGatesThatDoNotLieAtEqualDistances) {
  EXPECT_THAT(message_where_weight_2_is(
                  [](cudnnTensorDescriptor_t, void** at) { *at = static_cast<char*>(*at) + 16; }),
              HasSubstr("lstm: weight 2 must be [5, 4]"));
}

// cuDNN describes it so: no dimensions, and no address.
TEST(CudnnRecurrent, RefusesAWeightThatDoesNotExist) {
  EXPECT_THAT(message_where_weight_2_is([](cudnnTensorDescriptor_t matrix, void** at) {
                const int none = 0;
                real_api().SetTensorNdDescriptor(matrix, CUDNN_DATA_FLOAT, 0, &none, &none);
                *at = nullptr;
              }),
              HasSubstr("cuDNN has 0 elements"));
}

}  // namespace
}  // namespace trireme::kernels
