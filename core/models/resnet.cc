#include "core/models/resnet.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/trace_range.h"
#include "core/nn/init.h"

namespace trireme {
namespace {

constexpr int64_t kExpansion = 4;  // of a bottleneck

int64_t stage_out(const ResNetConfig& c, int stage) {
  return (c.width << stage) * (c.bottleneck ? kExpansion : 1);
}

Conv2d conv(int64_t in, int64_t out, int64_t kernel, int64_t stride, Generator& generator,
            TensorOptions options) {
  const int64_t pad = kernel / 2;  // keeps the image's size at stride 1
  return {in,
          out,
          {kernel, kernel},
          generator,
          {.stride = {stride, stride}, .padding = {pad, pad}},
          Bias::kNo,
          options};
}

/// conv and the normalisation behind it.
struct ConvNorm {
  ConvNorm(int64_t in, int64_t out, int64_t kernel, int64_t stride, Generator& generator,
           TensorOptions options)
      : conv(trireme::conv(in, out, kernel, stride, generator, options)),
        norm(out, 0.1, 1e-5, options) {}
  Tensor forward(const Tensor& x) const { return norm.forward_behind(conv, x); }
  Tensor forward_relu(const Tensor& x, const Tensor& residual = {}) const {
    return norm.forward_relu_behind(conv, x, residual);
  }
  Conv2d conv;
  BatchNorm norm;
};

}  // namespace

/// relu(x + f(x)), where f is two or three convolutions and x goes through a 1 x 1 convolution
/// where its shape changes.
class ResNet::Block : public Module {
 public:
  Block(int64_t in, int64_t width, int64_t stride, bool bottleneck, Generator& generator,
        TensorOptions options) {
    if (bottleneck) {
      add(in, width, 1, 1, generator, options);
      add(width, width, 3, stride, generator, options);
      add(width, width * kExpansion, 1, 1, generator, options);
    } else {
      add(in, width, 3, stride, generator, options);
      add(width, width, 3, 1, generator, options);
    }
    init::zeros(steps_.back()->norm.weight());
    const int64_t out = bottleneck ? width * kExpansion : width;
    if (stride == 1 && in == out) return;
    shortcut_ = std::make_unique<ConvNorm>(in, out, 1, stride, generator, options);
    downsample_.emplace();
    downsample_->add(*shortcut_);
    register_module("downsample", *downsample_);
  }

  Tensor forward(const Tensor& x) const {
    const TraceRange range("residual_block");
    Tensor y = x;
    for (size_t i = 0; i + 1 < steps_.size(); ++i) y = steps_[i]->forward_relu(y);
    return steps_.back()->forward_relu(y, shortcut_ ? shortcut_->forward(x) : x);
  }

 private:
  /// torchvision names the parts of the shortcut 0 and 1.
  struct Downsample : Module {
    void add(ConvNorm& part) {
      register_module("0", part.conv);
      register_module("1", part.norm);
    }
  };

  void add(int64_t in, int64_t out, int64_t kernel, int64_t stride, Generator& generator,
           TensorOptions options) {
    steps_.push_back(std::make_unique<ConvNorm>(in, out, kernel, stride, generator, options));
    const std::string number = std::to_string(steps_.size());
    register_module("conv" + number, steps_.back()->conv);
    register_module("bn" + number, steps_.back()->norm);
  }

  std::vector<std::unique_ptr<ConvNorm>> steps_;
  std::unique_ptr<ConvNorm> shortcut_;
  std::optional<Downsample> downsample_;
};

ResNet::~ResNet() = default;

ResNetConfig resnet_config(int64_t depth) {
  if (depth == 18) return {};
  if (depth == 34) return {.blocks = {3, 4, 6, 3}};
  if (depth == 50) return {.blocks = {3, 4, 6, 3}, .bottleneck = true};
  fail("resnet", "depth must be 18, 34 or 50, got ", depth);
}

ResNet::ResNet(const ResNetConfig& config, Generator& generator, TensorOptions options)
    : config_(config),
      conv1_(config.stem == Stem::kSmall
                 ? conv(config.in_channels, config.width, 3, 1, generator, options)
                 : conv(config.in_channels, config.width, 7, 2, generator, options)),
      bn1_(config.width, 0.1, 1e-5, options),
      fc_(stage_out(config, 3), config.classes, generator, Bias::kYes, options) {
  register_module("conv1", conv1_);
  register_module("bn1", bn1_);
  int64_t in = config.width;
  for (int stage = 0; stage < 4; ++stage) {
    for (int64_t i = 0; i < config.blocks[stage]; ++i) {
      const int64_t stride = stage > 0 && i == 0 ? 2 : 1;
      stages_[stage].add(in, config.width << stage, stride, config.bottleneck, generator, options);
      in = stage_out(config, stage);
    }
    register_module("layer" + std::to_string(stage + 1), stages_[stage]);
  }
  register_module("fc", fc_);
}

Tensor ResNet::forward(const Tensor& images) const {
  require(images.rank() == 4 && images.size(3) == config_.in_channels, "resnet",
          "images must be [batch, height, width, ", config_.in_channels, "], got ", images.shape());
  Tensor x = bn1_.forward_relu_behind(conv1_, images);
  if (config_.stem == Stem::kImageNet) {
    x = max_pool2d(x, {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}});
  }
  for (const ModuleList<Block>& stage : stages_) {
    for (size_t i = 0; i < stage.size(); ++i) x = stage[i].forward(x);
  }
  return fc_.forward(mean(x, {1, 2}));
}

}  // namespace trireme
