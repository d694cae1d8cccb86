// A residual network in evaluation on the emulated GPU: cuDNN is given every convolution in one
// graph with the normalisation, the addition and relu behind it, unless history is recorded.

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <vector>

#include "core/autograd/no_grad.h"
#include "core/models/resnet.h"
#include "core/tensor/create.h"
#include "core/tensor/transfer.h"
#include "tests/kernels/cudnn_mock.h"

namespace trireme::testing {
namespace {

constexpr Device kGpu{DeviceType::kCuda, 0};

/// What cuDNN was asked to compute while this lived.
class GraphsSeen {
 public:
  int convolutions = 0;                                     // graphs that hold one
  std::map<cudnnPointwiseMode_t, int> behind_convolutions;  // modes in those graphs

  GraphsSeen() : before_(CudnnMock::state().execute) {
    CudnnMock::state().execute = [this](const CudnnDescribed& graph, const auto& memory) {
      look_at(graph);
      before_(graph, memory);
    };
  }
  ~GraphsSeen() { CudnnMock::state().execute = before_; }
  GraphsSeen(const GraphsSeen&) = delete;

 private:
  void look_at(const CudnnDescribed& graph) {
    const int64_t count = graph.attributes.at(CUDNN_ATTR_OPERATIONGRAPH_OPS).count;
    bool is_convolution = false;
    std::vector<cudnnPointwiseMode_t> modes;
    for (int64_t i = 0; i < count; ++i) {
      const CudnnDescribed* op =
          graph.descriptor(CUDNN_ATTR_OPERATIONGRAPH_OPS, static_cast<size_t>(i));
      is_convolution |= op->type == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR;
      if (op->type != CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR) continue;
      modes.push_back(op->descriptor(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR)
                          ->value<cudnnPointwiseMode_t>(CUDNN_ATTR_POINTWISE_MODE));
    }
    if (!is_convolution) return;
    ++convolutions;
    for (const cudnnPointwiseMode_t mode : modes) ++behind_convolutions[mode];
  }

  std::function<void(const CudnnDescribed&, const std::map<int64_t, void*>&)> before_;
};

TEST(ResNetOnEmulatedGpu, EvaluatesEveryConvolutionWithWhatFollowsInOneGraph) {
  Generator generator(1);
  ResNet model({.blocks = {1, 1, 1, 1}, .in_channels = 4, .classes = 3, .width = 8}, generator);
  const StateDict parameters = model.named_parameters();
  const auto convolutions =
      std::ranges::count_if(parameters, [](const auto& named) { return named.second.rank() == 4; });
  model.to(kGpu);
  model.eval();
  const Tensor images = to_device(randn({2, 8, 8, 4}, generator), kGpu);

  GraphsSeen recorded;
  const std::vector<float> want = model.forward(images).detach().to_vector<float>();
  EXPECT_EQ(recorded.convolutions, convolutions);
  EXPECT_TRUE(recorded.behind_convolutions.empty());

  const NoGrad no_grad;
  GraphsSeen joined;
  const std::vector<float> got = model.forward(images).to_vector<float>();
  EXPECT_EQ(joined.convolutions, convolutions);
  const std::map<cudnnPointwiseMode_t, int> expected{
      {CUDNN_POINTWISE_MUL, convolutions},      // scale
      {CUDNN_POINTWISE_ADD, convolutions + 4},  // shift, and the residual of each block
      {CUDNN_POINTWISE_RELU_FWD, 1 + 2 * 4}};   // of the stem and twice in each block
  EXPECT_EQ(joined.behind_convolutions, expected);
  for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-4) << i;
}

}  // namespace
}  // namespace trireme::testing
