// Images per second of a ResNet training step, one process.
//
//   build/release/bin/resnet_step_benchmark [--threads 2] [--depth 18] [--batch 64] [--size 32]
//   resnet_step_benchmark --device cuda --depth 50 --stem imagenet --classes 1000 --size 224
//                         --batch 256 --precision bf16 [--graph] [--evaluate]
//
// Default: ResNet-18 with the stem for small images, 32 x 32 x 3, 10 classes, SGD with momentum,
// f32, on the CPU: 3.3 GFLOP per image (3 times 2 x 0.56 G multiply-adds). Images are random
// numbers that stay on the device. benchmarks/compare_pytorch/resnet_step.py is the same step in
// PyTorch.

#include <iostream>

#include "benchmarks/classifier_step.h"
#include "core/models/resnet.h"

namespace trireme {
namespace {

int run(const std::vector<std::string>& words) {
  StepFlags flags;
  flags.steps = 10;
  flags.warmup = 2;
  int64_t depth = 18, batch = 64, size = 32, classes = 10;
  std::string stem = "small";
  bool evaluates = false;
  ArgParser parser("resnet_step_benchmark", "[flags]", "Times ResNet training steps.");
  add_flags(parser, flags);
  parser.add("--depth", &depth, "18, 34 or 50");
  parser.add("--stem", &stem, "small: 3 x 3; imagenet: 7 x 7 and pooling")
      .one_of({"small", "imagenet"});
  parser.add("--classes", &classes, "labels").at_least(2);
  parser.add("--batch", &batch, "images per step").at_least(1);
  parser.add("--size", &size, "rows and columns of an image").at_least(8);
  parser.add("--evaluate", &evaluates, "forward only, as in evaluation");
  if (parser.parse(words).wants_help) {
    std::cout << parser.help();
    return 0;
  }
  const Device device = begin_benchmark(flags);
  const DType dtype = parse_precision(flags.precision).parameters;
  ResNetConfig config = resnet_config(depth);
  config.classes = classes;
  config.stem = stem == "small" ? Stem::kSmall : Stem::kImageNet;
  Generator generator(1);
  ResNet model(config, generator, {dtype});
  model.to(device);
  const Tensor images = randn({batch, size, size, 3}, generator, {dtype, device});
  if (evaluates) {
    time_evaluation(flags, device, model, images);
    return 0;
  }
  time_classifier(flags, device, model, {.lr = 0.1, .momentum = 0.9}, 5e-4, images,
                  labels_in_turn(batch, classes, device));
  return 0;
}

}  // namespace
}  // namespace trireme

int main(int argc, char** argv) { return trireme::run_benchmark(argc, argv, trireme::run); }
