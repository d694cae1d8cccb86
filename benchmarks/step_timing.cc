#include "benchmarks/step_timing.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <memory>

#include "core/base/config.h"
#include "core/base/parallel_for.h"
#include "core/cuda/device.h"
#include "core/cuda/graph.h"
#include "core/tensor/allocator.h"
#include "distributed/exit_code_of.h"

namespace trireme {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// The step's work as one call; the loss is where the captured step left it.
Step captured(Device device, const Step& step) {
  if constexpr (kHasCuda) {
    Tensor loss;
    const std::shared_ptr<cuda::Graph> graph =
        cuda::capture(device.index, [&] { loss = step().detach(); });
    return [graph, loss] {
      graph->replay();
      return loss;
    };
  }
  return step;  // not reached: there is no CUDA device
}

}  // namespace

void add_flags(ArgParser& parser, StepFlags& flags) {
  parser.add("--device", &flags.device, "cpu, cuda or cuda:N");
  parser.add("--threads", &flags.threads, "CPU threads per rank").default_text("all cores / ranks");
  parser.add("--steps", &flags.steps, "timed steps").at_least(1);
  parser.add("--warmup", &flags.warmup, "steps before them").at_least(1);
  parser.add("--precision", &flags.precision, "as trireme-train's")
      .one_of({"f32", "bf16", "f16", "bf16-pure"});
  parser.add("--graph", &flags.graph, "replay a captured step; needs a GPU");
  parser.add("--peak-tflops", &flags.peak_tflops, "what MFU is a share of")
      .at_least(0)
      .default_text("989 on cuda: bf16 on an H100 or H200");
  parser.add("--json", &flags.json, "a last line for scripts");
}

Step prepare(const StepFlags& flags, Device device, Step step) {
  require(!flags.graph || !device.is_cpu(), "benchmark", "--graph needs --device cuda");
  Tensor loss;
  for (int64_t i = 0; i < flags.warmup; ++i) loss = step();
  loss.item();
  reset_peak_memory(device);
  if (flags.graph) {  // what replays work in is taken while capturing
    step = captured(device, step);
    step().item();
  }
  return step;
}

double seconds_per_step(Device device, int64_t steps, const Step& step) {
  if (device.is_cpu()) {
    std::vector<double> seconds;
    for (int64_t i = 0; i < steps; ++i) {
      const auto start = Clock::now();
      step();
      seconds.push_back(seconds_since(start));
    }
    return median_of(seconds);
  }
  const auto start = Clock::now();
  Tensor loss;
  for (int64_t i = 0; i < steps; ++i) loss = step();
  loss.item();
  return seconds_since(start) / static_cast<double>(steps);
}

double median_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

double share_of_peak(const StepFlags& flags, Device device, double flops) {
  constexpr double kHopperBf16 = 989;  // TFLOP/s without sparsity, of the data sheet
  const double peak =
      flags.peak_tflops > 0 ? flags.peak_tflops : (device.is_cpu() ? 0 : kHopperBf16);
  return peak > 0 ? flops / (peak * 1e12) : 0;
}

double peak_mib(Device device) {
  return static_cast<double>(memory_stats(device).peak_allocated_bytes) / (1 << 20);
}

std::string hardware(Device device) {
  if constexpr (kHasCuda) {
    if (!device.is_cpu()) {
      return concat("cuda:", int{device.index}, " ", cuda::device_info(device.index).name);
    }
  }
  return concat("cpu, ", num_threads(), " threads");
}

void print_json(const Result& result) {
  std::string line;
  for (const auto& [name, value] : result.texts) {
    line += concat(line.empty() ? "" : ", ", "\"", name, "\": \"", value, "\"");
  }
  for (const auto& [name, value] : result.numbers) {
    char digits[32];
    std::snprintf(digits, sizeof digits, "%.9g", value);
    line += concat(line.empty() ? "" : ", ", "\"", name, "\": ", digits);
  }
  std::printf("{%s}\n", line.c_str());
}

int run_benchmark(int argc, char** argv, int (*run)(const std::vector<std::string>&)) {
  try {
    return run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return exit_code_of(error);
  }
}

}  // namespace trireme
