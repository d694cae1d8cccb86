// Tokens per second of a training step of an LSTM, one process.
//
//   build/release/bin/lstm_step_benchmark [--threads 2] [--layers 2] [--hidden 512] [--time 64]
//
// Random features [batch, time, hidden] through the layers, cross entropy over 10 classes of the
// last layer's results at every step of time, SGD with momentum. The head is small on purpose: what
// is timed is the recurrence. benchmarks/compare_pytorch/lstm_step.py is the same step in PyTorch.

#include <iostream>

#include "benchmarks/classifier_step.h"
#include "core/nn/recurrent.h"

namespace trireme {
namespace {

constexpr int64_t kClasses = 10;

class Model : public Module {
 public:
  Model(const RecurrentConfig& config, Generator& generator, TensorOptions options)
      : lstm_(config, generator, options),
        head_(config.hidden, kClasses, generator, Bias::kYes, options) {
    register_module("lstm", lstm_);
    register_module("head", head_);
  }
  Tensor forward(const Tensor& x) const { return head_.forward(lstm_.forward(x).y); }

 private:
  Lstm lstm_;
  Linear head_;
};

int run(const std::vector<std::string>& words) {
  StepFlags flags;
  flags.steps = 10;
  flags.warmup = 2;
  int64_t batch = 32, time = 64;
  RecurrentConfig config{.in = 512, .hidden = 512, .layers = 2};
  ArgParser parser("lstm_step_benchmark", "[flags]", "Times training steps of an LSTM.");
  add_flags(parser, flags);
  parser.add("--batch", &batch, "sequences per step").at_least(1);
  parser.add("--time", &time, "steps of time in a sequence").at_least(1);
  parser.add("--layers", &config.layers, "layers").at_least(1);
  parser.add("--hidden", &config.hidden, "width of input and layers").at_least(1);
  if (parser.parse(words).wants_help) {
    std::cout << parser.help();
    return 0;
  }
  config.in = config.hidden;
  const Device device = begin_benchmark(flags);
  const DType dtype = parse_precision(flags.precision).parameters;
  Generator generator(1);
  Model model(config, generator, {dtype});
  model.to(device);
  const Tensor x = randn({batch, time, config.in}, generator, {dtype, device});
  const Tensor labels = reshape(labels_in_turn(batch * time, kClasses, device), {batch, time});
  time_classifier(flags, device, model, {.lr = 0.01, .momentum = 0.9}, 0, x, labels, "tokens");
  return 0;
}

}  // namespace
}  // namespace trireme

int main(int argc, char** argv) { return trireme::run_benchmark(argc, argv, trireme::run); }
