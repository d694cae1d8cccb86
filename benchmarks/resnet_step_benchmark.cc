// Images per second of a ResNet training step on the CPU, one process.
//
//   build/release/bin/resnet_step_benchmark [--threads 2] [--depth 18] [--batch 64] [--size 32]
//
// Default: ResNet-18 with the stem for small images, 32 x 32 x 3, 10 classes, SGD with momentum,
// f32: 3.3 GFLOP per image (3 times 2 x 0.56 G multiply-adds).
// benchmarks/compare_pytorch/resnet_step.py is the same step in PyTorch.

#include <chrono>
#include <cstdio>
#include <iostream>

#include "benchmarks/step_timing.h"
#include "core/autograd/backward.h"
#include "core/base/parallel_for.h"
#include "core/models/resnet.h"
#include "core/optim/sgd.h"
#include "core/tensor/allocator.h"
#include "launcher/args.h"

namespace trireme {
namespace {

struct Options {
  int threads = 2;
  int64_t depth = 18, batch = 64, size = 32, steps = 10;
};

int run(const std::vector<std::string>& words) {
  Options o;
  ArgParser parser("resnet_step_benchmark", "[flags]", "Times ResNet training steps.");
  parser.add("--threads", &o.threads, "threads").at_least(1);
  parser.add("--depth", &o.depth, "18, 34 or 50");
  parser.add("--batch", &o.batch, "images per step").at_least(1);
  parser.add("--size", &o.size, "rows and columns of an image").at_least(8);
  parser.add("--steps", &o.steps, "timed steps").at_least(1);
  if (parser.parse(words).wants_help) {
    std::cout << parser.help();
    return 0;
  }
  set_num_threads(o.threads);
  Generator generator(1);
  ResNet model(resnet_config(o.depth), generator);
  Sgd optimizer({{model.named_parameters(), {.weight_decay = 5e-4}}}, {.lr = 0.1, .momentum = 0.9});
  const Tensor images = randn({o.batch, o.size, o.size, 3}, generator);
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < o.batch; ++i) labels.push_back(i % 10);
  const Tensor targets = from_vector(labels, {o.batch});
  std::vector<double> seconds;
  for (int64_t step = 0; step < o.steps + 2; ++step) {
    const auto start = std::chrono::steady_clock::now();
    backward(cross_entropy(model.forward(images), targets));
    optimizer.step();
    optimizer.zero_grad();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    if (step >= 2) seconds.push_back(took.count());
  }
  const double median = median_of(seconds);
  std::printf("%.1f ms per step, %.1f images/s, peak %.0f MiB\n", 1e3 * median,
              static_cast<double>(o.batch) / median,
              static_cast<double>(memory_stats().peak_allocated_bytes) / (1 << 20));
  return 0;
}

}  // namespace
}  // namespace trireme

int main(int argc, char** argv) { return trireme::run_benchmark(argc, argv, trireme::run); }
