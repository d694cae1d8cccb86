// Residual networks for image classification. He et al., "Deep residual learning for image
// recognition", 2016, with the stride of a bottleneck in its 3 x 3 convolution (v1.5).

#pragma once

#include <array>
#include <cstdint>

#include "core/nn/convolution.h"
#include "core/nn/module_list.h"

namespace trireme {

enum class Stem {
  kSmall,     // 3 x 3, stride 1: images of about 32 x 32
  kImageNet,  // 7 x 7, stride 2, and a 3 x 3 max pooling of stride 2: images of about 224 x 224
};

struct ResNetConfig {
  // Per stage; each stage but the first halves the image.
  std::array<int64_t, 4> blocks{2, 2, 2, 2};
  bool bottleneck = false;  // 1 x 1, 3 x 3, 1 x 1 with 4 times the channels out
  int64_t in_channels = 3;
  int64_t classes = 10;
  int64_t width = 64;  // channels of the first stage; each further stage has twice as many
  Stem stem = Stem::kSmall;
};

/// Depth 18, 34 or 50. Throws InvalidArgument for any other.
ResNetConfig resnet_config(int64_t depth);

/// images [batch, height, width, in_channels] -> logits [batch, classes]. Parameters have
/// torchvision's names (conv1, bn1, layer1.0.conv1 ... fc) and, apart from the order of a filter's
/// dimensions and the transposed fc.weight, its shapes. The last normalisation of each block starts
/// with weight 0, so that every block starts as the identity (Goyal et al., "Accurate, large
/// minibatch SGD", 2017).
class ResNet : public Module {
 public:
  ResNet(const ResNetConfig& config, Generator& generator, TensorOptions options = {});
  ~ResNet() override;
  Tensor forward(const Tensor& images) const;
  const ResNetConfig& config() const { return config_; }

 private:
  class Block;

  ResNetConfig config_;
  Conv2d conv1_;
  BatchNorm bn1_;
  std::array<ModuleList<Block>, 4> stages_;
  Linear fc_;
};

}  // namespace trireme
