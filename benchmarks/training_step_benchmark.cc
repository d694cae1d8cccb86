// Tokens per second of a GPT training step on the CPU, alone and with several ranks.
//
//   build/release/bin/training_step_benchmark [--threads 2] [--ranks 1] [--independent|--serial]
//                                             [--precision f32|bf16|f16|bf16-pure]
//   TRIREME_BACKEND=mpi mpirun -np 2 build/release/bin/training_step_benchmark
//
// Default: 4 layers, 256 wide, 4 heads, context 256, batch 8 per rank, vocabulary 256, AdamW, f32:
// 21 MFLOP per token. benchmarks/compare_pytorch/gpt_step.py is the same step in PyTorch. With
// --ranks N, N processes share the machine and average gradients over shm; with --independent they
// do not exchange anything: the limit that data parallelism is compared with. With --serial they
// reduce after backward instead of during it: what overlapping gains is the difference. Ranks that
// a launcher has started (mpirun, srun, trireme run) are taken as they are.
//
// "all-reduce" is the time that collectives were running, waiting for slower ranks included, and
// "exposed" the part of it that backward waited for at its end. Rank 0 shows when, as a share of
// backward, each bucket was complete and its all-reduce began.

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <iostream>

#include "benchmarks/step_timing.h"
#include "core/amp/autocast.h"
#include "core/amp/grad_scaler.h"
#include "core/autograd/backward.h"
#include "core/base/parallel_for.h"
#include "core/models/gpt.h"
#include "core/optim/adam.h"
#include "core/tensor/allocator.h"
#include "distributed/ddp.h"
#include "distributed/env.h"
#include "distributed/make_communicator.h"
#include "launcher/args.h"
#include "launcher/precision.h"

namespace trireme {
namespace {

struct Options {
  int threads = 0;
  int ranks = 1;
  bool independent = false;
  bool serial = false;
  std::string precision = "f32";
  int64_t layers = 4, heads = 4, dim = 256, context = 256, batch = 8, vocab = 256, steps = 20;
};

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Backward without communication, then the all-reduce of every gradient where it lies.
void serial_backward(DistributedDataParallel& ddp, const Tensor& loss, const StateDict& parameters,
                     Communicator& communicator) {
  {
    const auto local = ddp.no_sync();
    ddp.backward(loss);
  }
  std::vector<WorkPtr> started;
  for (const auto& [name, p] : parameters) {
    const Tensor gradient = p.grad();
    started.push_back(communicator.all_reduce(gradient.raw_data(), gradient.numel(),
                                              gradient.dtype(), ReduceOp::kAverage));
  }
  for (const WorkPtr& work : started) work->wait();
}

/// Shows one backward: when each bucket's last gradient was complete.
void show_buckets(DistributedDataParallel& ddp, const Tensor& loss, const StateDict& parameters) {
  std::vector<double> ready;
  std::vector<HookHandle> hooks;
  const auto start = std::chrono::steady_clock::now();
  for (const Bucket& bucket : ddp.reducer().buckets()) {
    hooks.push_back(register_accumulate_hook(parameters[bucket.params.back()].second,
                                             [&] { ready.push_back(seconds_since(start)); }));
  }
  ddp.backward(loss);
  const double whole = seconds_since(start);
  for (size_t b = 0; b < ready.size(); ++b) {
    std::printf("bucket %zu: %.2f MiB, all-reduce began at %.0f %% of backward\n", b,
                static_cast<double>(ddp.reducer().buckets()[b].total_bytes) / (1 << 20),
                100 * ready[b] / whole);
  }
}

void run_rank(const Options& o, const RankEnv& place) {
  set_num_threads(o.threads > 0 ? o.threads : std::max(1, 2 / place.local_world_size));
  const auto communicator = o.independent
                                ? make_communicator({})
                                : make_communicator({.backend = "",
                                                     .rank = place.rank,
                                                     .world_size = place.world_size,
                                                     .local_world_size = place.local_world_size,
                                                     .run_id = place.run_id,
                                                     .timeout = {}});
  const Precision precision = parse_precision(o.precision);
  GradScaler scaler;
  Generator generator(1);
  Gpt model({.vocab_size = o.vocab,
             .context = o.context,
             .layers = o.layers,
             .heads = o.heads,
             .dim = o.dim},
            generator, {precision.parameters});
  DistributedDataParallel ddp(model, *communicator);
  AdamW optimizer(decay_matrices_only(model.named_parameters(), 0.1), {});
  std::vector<int64_t> ids(static_cast<size_t>(o.batch * o.context));
  for (int64_t& id : ids) id = static_cast<int64_t>(generator.next_below(o.vocab));
  const Tensor inputs = from_vector(ids, {o.batch, o.context});
  const StateDict parameters = model.named_parameters();
  std::vector<double> seconds, forward, backward;
  CommStats warm;
  for (int64_t step = 0; step < o.steps + 3; ++step) {
    const auto start = std::chrono::steady_clock::now();
    const Tensor loss = [&] {
      const Autocast autocast(precision.autocast);
      const Tensor mean = model.loss(inputs, inputs);
      return precision.scales_loss ? scaler.scaled(mean) : mean;
    }();
    const auto after_forward = seconds_since(start);
    if (o.serial && step > 0) {  // the first one plans the buckets
      serial_backward(ddp, loss, parameters, *communicator);
    } else if (step == 1 && place.rank == 0 && place.world_size > 1 && !o.independent) {
      show_buckets(ddp, loss, parameters);
    } else {
      ddp.backward(loss);
    }
    const auto after_backward = seconds_since(start);
    optimizer.step(precision.scales_loss ? full({}, 1 / scaler.scale(), {DType::kF64}) : Tensor());
    optimizer.zero_grad();
    if (step == 2) warm = communicator->stats();
    if (step < 3) continue;
    seconds.push_back(seconds_since(start));
    forward.push_back(after_forward);
    backward.push_back(after_backward - after_forward);
  }
  const CommStats end = communicator->stats();
  const double ms_per_step = 1e3 / static_cast<double>(o.steps);
  const double median = median_of(seconds);
  const double tokens = static_cast<double>(o.batch * o.context) / median;
  std::printf(
      "rank %d: %s, %.1f ms per step (forward %.1f, backward %.1f), %.0f tok/s, %.1f GFLOP/s, "
      "all-reduce %.2f ms of which %.2f ms "
      "exposed, gradients %.3f x parameters, peak %.0f MiB\n",
      place.rank, o.precision.c_str(), 1e3 * median, 1e3 * median_of(forward),
      1e3 * median_of(backward), tokens, tokens * model.flops_per_token() * 1e-9,
      (end.busy_seconds - warm.busy_seconds) * ms_per_step,
      (end.waited_seconds - warm.waited_seconds) * ms_per_step,
      static_cast<double>(ddp.reducer().bucket_bytes()) /
          (4.0 * static_cast<double>(model.num_parameters())),
      static_cast<double>(memory_stats().peak_allocated_bytes) / (1 << 20));
  std::fflush(stdout);
}

int run(const std::vector<std::string>& words) {
  Options o;
  ArgParser parser("training_step_benchmark", "[flags]", "Times GPT training steps.");
  parser.add("--threads", &o.threads, "threads per rank").default_text("2 / ranks");
  parser.add("--ranks", &o.ranks, "processes to start, unless a launcher has").at_least(1);
  parser.add("--independent", &o.independent, "ranks exchange nothing");
  parser.add("--serial", &o.serial, "reduce gradients after backward, not during it");
  parser.add("--precision", &o.precision, "as trireme-train's")
      .one_of({"f32", "bf16", "f16", "bf16-pure"});
  parser.add("--layers", &o.layers, "transformer blocks");
  parser.add("--heads", &o.heads, "attention heads");
  parser.add("--dim", &o.dim, "width");
  parser.add("--context", &o.context, "tokens per sequence");
  parser.add("--batch", &o.batch, "sequences per rank and step");
  parser.add("--vocab", &o.vocab, "vocabulary size");
  parser.add("--steps", &o.steps, "timed steps").at_least(1);
  if (parser.parse(words).wants_help) {
    std::cout << parser.help();
    return 0;
  }
  RankEnv place = detect_rank_env();
  if (place.world_size > 1) {
    run_rank(o, place);
    return 0;
  }
  place.world_size = place.local_world_size = o.ranks;
  std::vector<pid_t> children;
  for (place.rank = 0; place.rank < o.ranks; ++place.rank) {
    const pid_t child = fork();
    if (child < 0)
      throw IoError(concat("training_step_benchmark: fork failed, ", std::strerror(errno)));
    if (child == 0) {
      try {
        run_rank(o, place);
        _exit(0);
      } catch (const std::exception& error) {
        std::cerr << "rank " << place.rank << ": " << error.what() << '\n';
        _exit(1);
      }
    }
    children.push_back(child);
  }
  int failed = 0;
  for (pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    failed |= status != 0;
  }
  return failed;
}

}  // namespace
}  // namespace trireme

int main(int argc, char** argv) { return trireme::run_benchmark(argc, argv, trireme::run); }
