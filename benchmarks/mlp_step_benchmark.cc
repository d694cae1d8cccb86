// Images per second of a multi-layer perceptron's training step, one process: so small that what
// counts is what a step costs besides its arithmetic.
//
//   build/release/bin/mlp_step_benchmark [--threads 2] [--batch 128] [--hidden 1024]
//   mlp_step_benchmark --device cuda --steps 1000 [--graph]
//
// 784 - 1024 - 1024 - 10 with ReLU, SGD with momentum, f32, on one batch of random numbers.
// benchmarks/compare_pytorch/mlp_step.py is the same step in PyTorch.

#include <iostream>

#include "benchmarks/classifier_step.h"
#include "core/models/mlp.h"

namespace trireme {
namespace {

int run(const std::vector<std::string>& words) {
  StepFlags flags;
  flags.steps = 50;
  flags.warmup = 5;
  int64_t batch = 128, hidden = 1024;
  ArgParser parser("mlp_step_benchmark", "[flags]", "Times training steps of an MLP.");
  add_flags(parser, flags);
  parser.add("--batch", &batch, "images per step").at_least(1);
  parser.add("--hidden", &hidden, "width of the two hidden layers").at_least(1);
  if (parser.parse(words).wants_help) {
    std::cout << parser.help();
    return 0;
  }
  const Device device = begin_benchmark(flags);
  const DType dtype = parse_precision(flags.precision).parameters;
  constexpr int64_t kPixels = 784, kClasses = 10;
  Generator generator(1);
  Mlp model({.sizes = {kPixels, hidden, hidden, kClasses}}, generator, {dtype});
  model.to(device);
  const Tensor images = randn({batch, kPixels}, generator, {dtype, device});
  time_classifier(flags, device, model, {.lr = 0.01, .momentum = 0.9}, 0, images,
                  labels_in_turn(batch, kClasses, device));
  return 0;
}

}  // namespace
}  // namespace trireme

int main(int argc, char** argv) { return trireme::run_benchmark(argc, argv, trireme::run); }
