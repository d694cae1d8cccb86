#include "core/nn/layers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/autograd/backward.h"
#include "core/nn/convolution.h"
#include "core/tensor/allocator.h"

namespace trireme {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

int64_t parameter_bytes() {
  return memory_stats().allocated_bytes[static_cast<size_t>(MemoryKind::kParameters)];
}

TEST(Linear, MultipliesByAWeightOfLayoutInOut) {
  Generator generator(1);
  const Linear layer(2, 3, generator);
  EXPECT_EQ(layer.weight().shape(), Shape({2, 3}));
  copy_inplace(layer.weight().detach(), from_vector<float>({1, 2, 3, 4, 5, 6}, {2, 3}));
  copy_inplace(layer.bias().detach(), from_vector<float>({10, 20, 30}, {3}));
  const Tensor y = layer.forward(from_vector<float>({1, -1, 0, 2}, {2, 2}));
  EXPECT_THAT(y.to_vector<float>(), ElementsAre(7, 17, 27, 18, 30, 42));
}

TEST(Linear, CanGoWithoutBias) {
  Generator generator(1);
  const Linear layer(2, 3, generator, Bias::kNo, {DType::kF64});
  EXPECT_FALSE(layer.bias().defined());
  EXPECT_EQ(layer.named_parameters().size(), 1u);
  EXPECT_EQ(layer.forward(zeros({4, 5, 2}, {DType::kF64})).shape(), Shape({4, 5, 3}));
}

TEST(Linear, StartsUniformWithinOneOverTheRootOfIn) {
  Generator generator(1);
  const Linear layer(100, 400, generator);
  std::vector<double> w = layer.weight().to_vector<double>();
  const auto [low, high] = std::minmax_element(w.begin(), w.end());
  EXPECT_LT(*low, -0.099);
  EXPECT_GE(*low, -0.1);
  EXPECT_GT(*high, 0.099);
  EXPECT_LE(*high, 0.1);
  EXPECT_THAT(layer.bias().to_vector<float>(), Each(0));
}

TEST(Layers, StartAsAnInitializerSays) {
  Generator generator(1);
  const init::Initializer initializer = [](const Tensor& w, Generator& g) {
    init::orthogonal(w, g, 2);
  };
  const Linear linear(6, 4, generator, Bias::kYes, {DType::kF64}, initializer);
  const Embedding embedding(6, 4, generator, {DType::kF64}, initializer);
  for (const Tensor& w : {linear.weight(), embedding.weight()}) {
    const Tensor products = matmul(transpose(w.detach(), 0, 1), w.detach());
    for (int64_t i = 0; i < 4; ++i) {
      for (int64_t j = 0; j < 4; ++j) {
        const double want = i == j ? 4 : 0;
        EXPECT_NEAR(products.to_vector<double>()[static_cast<size_t>(4 * i + j)], want, 1e-12);
      }
    }
  }
  EXPECT_THAT(linear.bias().to_vector<double>(), Each(0));
  const Conv2d conv(2, 3, {3, 3}, generator, {}, Bias::kYes, {},
                    [](const Tensor& w, Generator&) { init::constant(w, 7); });
  EXPECT_THAT(conv.weight().to_vector<float>(), Each(7));
}

TEST(Convolutions, HoldTorchsFiltersWithChannelsLast) {
  Generator generator(1);
  const Conv2d conv(4, 6, {3, 2}, generator, {.groups = 2});
  EXPECT_EQ(conv.weight().shape(), Shape({6, 3, 2, 2}));
  EXPECT_EQ(conv.bias().shape(), Shape({6}));
  EXPECT_EQ(conv.forward(zeros({1, 5, 5, 4})).shape(), Shape({1, 3, 4, 6}));
  const ConvTranspose2d back(6, 4, {3, 2}, generator, {.stride = {2, 1}, .groups = 2}, Bias::kNo);
  EXPECT_EQ(back.weight().shape(), Shape({6, 3, 2, 2}));
  EXPECT_FALSE(back.bias().defined());
  EXPECT_EQ(back.forward(zeros({1, 3, 4, 6})).shape(), Shape({1, 7, 5, 4}));
  const Conv1d along(4, 6, 3, generator, {.padding = 1});
  EXPECT_EQ(along.weight().shape(), Shape({6, 3, 4}));
  EXPECT_EQ(along.forward(zeros({2, 5, 4})).shape(), Shape({2, 5, 6}));
  const ConvTranspose1d longer(6, 4, 2, generator, {.stride = 2, .output_padding = 1});
  EXPECT_EQ(longer.weight().shape(), Shape({6, 2, 4}));
  EXPECT_EQ(longer.bias().shape(), Shape({4}));
  EXPECT_EQ(longer.forward(zeros({2, 5, 6})).shape(), Shape({2, 11, 4}));
}

// A filter's deviation is the root of 2 / (elements that one element of x has a part in).
TEST(Convolutions, StartByTheFanThatGradientsSee) {
  Generator generator(1);
  const auto deviation = [](const Tensor& w) {
    return std::sqrt(mean(square(to(w.detach(), DType::kF64))).item());
  };
  EXPECT_NEAR(deviation(Conv2d(40, 80, {3, 3}, generator).weight()), std::sqrt(2.0 / 720), 1e-3);
  EXPECT_NEAR(deviation(ConvTranspose2d(40, 80, {3, 3}, generator).weight()), std::sqrt(2.0 / 720),
              1e-3);
  EXPECT_NEAR(deviation(ConvTranspose1d(40, 80, 9, generator).weight()), std::sqrt(2.0 / 720),
              1e-3);
}

TEST(Convolutions, RefuseGroupsThatDoNotDivideTheirChannels) {
  Generator generator(1);
  EXPECT_THAT([&] { Conv1d(5, 4, 3, generator, {.groups = 2}); },
              ThrowsMessage<InvalidArgument>("conv1d: 2 groups must divide the 5 input channels"));
  EXPECT_THAT(
      [&] {
        ConvTranspose2d(4, 5, {3, 3}, generator, {.groups = 2});
      },
      ThrowsMessage<InvalidArgument>(
          "conv_transpose2d: 2 groups must divide the 5 output channels"));
}

TEST(Layers, CountTheirMemoryAsParameters) {
  Generator generator(1);
  const int64_t before = parameter_bytes();
  const Linear layer(1024, 1024, generator);
  EXPECT_GE(parameter_bytes() - before, 1024 * 1024 * 4);
}

TEST(BatchNorm, CountsItsBuffersAsParameters) {
  const int64_t before = parameter_bytes();
  const BatchNorm norm(1 << 16);
  EXPECT_GE(parameter_bytes() - before, 4 * 4 << 16);  // two parameters, two buffers
}

TEST(Layers, RefuseSizesThatAreNotPositive) {
  Generator generator(1);
  EXPECT_THAT([&] { Linear(0, 3, generator); },
              ThrowsMessage<InvalidArgument>("layer: sizes must be positive, got [0, 3]"));
  EXPECT_THAT([&] { LayerNorm(-1); }, ThrowsMessage<InvalidArgument>(HasSubstr("got [-1]")));
}

TEST(Embedding, GivesRowsAndCollectsTheirGradients) {
  Generator generator(1);
  const Embedding layer(4, 2, generator);
  const Tensor y = layer.forward(from_vector<int64_t>({3, 0, 3}, {3}));
  EXPECT_EQ(slice(y, 0, 0, 1).to_vector<float>(),
            slice(layer.weight(), 0, 3, 4).to_vector<float>());
  backward(sum(y));
  EXPECT_THAT(layer.weight().grad().to_vector<float>(), ElementsAre(1, 1, 0, 0, 0, 0, 2, 2));
}

TEST(LayerNorm, StartsAsTheIdentityOfNormalisedRows) {
  const LayerNorm layer(4, 0.0, {DType::kF64});
  const Tensor y = layer.forward(from_vector<double>({1, 1, 3, 3, -5, 5, 5, -5}, {2, 4}));
  EXPECT_THAT(y.to_vector<double>(), ElementsAre(-1, -1, 1, 1, -1, 1, 1, -1));
}

TEST(Dropout, ActsInTrainingOnly) {
  Generator generator(7);
  Dropout layer(0.25, generator);
  const Tensor x = ones({40000});
  const std::vector<double> y = layer.forward(x).to_vector<double>();
  const auto dropped = static_cast<double>(std::count(y.begin(), y.end(), 0.0));
  // 4 deviations of a binomial distribution: sqrt(40000 * 0.25 * 0.75) = 87.
  EXPECT_NEAR(dropped, 10000, 350);
  for (double v : y) EXPECT_TRUE(v == 0 || std::abs(v - 4.0 / 3) < 1e-6) << v;

  layer.eval();
  EXPECT_TRUE(layer.forward(x).is_same(x));
}

TEST(Dropout, LayersDrawDifferentMasksAndSeedsRepeatThem) {
  const Tensor x = ones({256});
  const auto masks = [&](uint64_t seed) {
    Generator generator(seed);
    const Dropout a(0.5, generator), b(0.5, generator);
    return std::vector{a.forward(x).to_vector<float>(), a.forward(x).to_vector<float>(),
                       b.forward(x).to_vector<float>()};
  };
  const auto once = masks(5);
  EXPECT_NE(once[0], once[1]);
  EXPECT_NE(once[0], once[2]);
  EXPECT_EQ(once, masks(5));
  EXPECT_NE(once, masks(6));
}

TEST(Dropout, GeneratorStateRestoresTheMask) {
  Generator generator(5);
  Dropout layer(0.5, generator);
  const Tensor x = ones({64});
  layer.forward(x);
  Generator& own = *layer.named_generators()[0].second;
  const uint64_t offset = own.offset();
  const auto mask = layer.forward(x).to_vector<float>();
  own.set_offset(offset);
  EXPECT_EQ(layer.forward(x).to_vector<float>(), mask);
}

TEST(Dropout, RefusesProbabilitiesThatLeaveNothing) {
  Generator generator(5);
  for (double p : {-0.1, 1.0, std::nan("")}) {
    EXPECT_THAT([&] { Dropout(p, generator); },
                ThrowsMessage<InvalidArgument>(HasSubstr("must be in [0, 1), got ")));
  }
}

}  // namespace
}  // namespace trireme
