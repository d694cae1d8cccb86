// What the benchmarks of training steps share: their flags, how a step is timed on the CPU and on
// a GPU, and how results are printed.
//
//   StepFlags flags;
//   add_flags(parser, flags);
//   ...
//   const Device device = parse_device(flags.device);
//   const Step step = prepare(flags, device, [&] { ...; return loss; });
//   const double seconds = seconds_per_step(device, flags.steps, step);

#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/tensor/tensor.h"
#include "launcher/args.h"

namespace trireme {

struct StepFlags {
  std::string device = "cpu";
  int threads = 0;  // 0: TRIREME_NUM_THREADS, OMP_NUM_THREADS or all cores
  int64_t steps = 20;
  int64_t warmup = 3;
  std::string precision = "f32";  // launcher/precision.h
  bool graph = false;
  double peak_tflops = 0;  // 0: of an H100 or H200 in bf16 on CUDA, none on the CPU
  bool json = false;
};
/// --device, --threads, --steps, --warmup, --precision, --graph, --peak-tflops and --json.
void add_flags(ArgParser& parser, StepFlags& flags);

/// One training step: queues its work and gives its loss, a scalar.
using Step = std::function<Tensor()>;

/// Takes `flags.warmup` steps, so that memory is there and libraries have chosen their algorithms,
/// waits for them and forgets the peak of memory. With flags.graph the step is captured behind them
/// (core/cuda/graph.h) and what is given back replays it; throws CudaError where it cannot be, and
/// InvalidArgument on the CPU.
Step prepare(const StepFlags& flags, Device device, Step step);

/// Seconds of a step. On the CPU the median of `steps` steps, each timed alone; on a GPU steps are
/// queued one behind the other, and the time until the last one is done is divided by their number:
/// reading the last loss is the only wait.
double seconds_per_step(Device device, int64_t steps, const Step& step);

double median_of(std::vector<double> values);

/// Share of `flags.peak_tflops` that `flops` per second are; 0 where there is no peak.
double share_of_peak(const StepFlags& flags, Device device, double flops);
double peak_mib(Device device);
/// "cuda:0 NAME" or "cpu, N threads": what a result is of.
std::string hardware(Device device);

/// With --json the last line of a benchmark: an object of texts and numbers that scripts read.
struct Result {
  std::vector<std::pair<std::string, std::string>> texts;
  std::vector<std::pair<std::string, double>> numbers;
};
void print_json(const Result& result);

/// main() of a benchmark: runs it with the command line's words; an error is one line and its code
/// of docs/exit_codes.md.
int run_benchmark(int argc, char** argv, int (*run)(const std::vector<std::string>&));

}  // namespace trireme
