// Tokens per second of a GPT training step, alone and with several ranks.
//
//   build/release/bin/training_step_benchmark [--threads 2] [--ranks 1] [--independent|--serial]
//                                             [--precision f32|bf16|f16|bf16-pure]
//   training_step_benchmark --device cuda --size gpt2 --vocab-multiple 128 --batch 64
//                           --precision bf16 [--graph] [--ddp on|off|both]
//                           [--recompute-blocks]
//   TRIREME_BACKEND=mpi mpirun -np 2 build/release/bin/training_step_benchmark
//
// Default: 4 layers, 256 wide, 4 heads, context 256, batch 8 per rank, vocabulary 256, AdamW, f32,
// on the CPU: 21 MFLOP per token. benchmarks/compare_pytorch/gpt_step.py is the same step in
// PyTorch. With --ranks N, N processes share the machine and average gradients over shm; with
// --independent they do not exchange anything: the limit that data parallelism is compared with.
// With --serial they reduce after backward instead of during it: what overlapping gains is the
// difference. Ranks that a launcher has started (mpirun, srun, trireme run) are taken as they are.
//
// --ddp both times the same step with DistributedDataParallel and without it, in turns: what the
// wrapper costs on one rank. MFU is by the rule of Gpt::flops_per_token, 6 N + 6 L C T.
//
// "all-reduce" is the time that collectives were running, waiting for slower ranks included, and
// "exposed" the part of it that backward waited for at its end. On the CPU rank 0 shows when, as a
// share of backward, each bucket was complete and its all-reduce began.

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <iostream>

#include "benchmarks/gpt_step.h"
#include "benchmarks/step_timing.h"
#include "core/autograd/backward.h"
#include "core/base/parallel_for.h"
#include "core/tensor/allocator.h"
#include "distributed/device_of_rank.h"
#include "distributed/env.h"
#include "distributed/make_communicator.h"

namespace trireme {
namespace {

struct Options {
  StepFlags step;
  int ranks = 1;
  bool independent = false;
  bool serial = false;
  std::string ddp = "on";
  std::string size;
  int64_t layers = 0, heads = 0, dim = 0, context = 0, vocab = 0;  // 0: what the size says
  int64_t vocab_multiple = 1, batch = 8;
  bool recompute_blocks = false;
};

GptConfig config_of(const Options& o) {
  GptConfig config =
      o.size.empty()
          ? GptConfig{.vocab_size = 256, .context = 256, .layers = 4, .heads = 4, .dim = 256}
          : gpt2_config(o.size);
  const auto replace = [](int64_t& value, int64_t given) { value = given > 0 ? given : value; };
  replace(config.layers, o.layers);
  replace(config.heads, o.heads);
  replace(config.dim, o.dim);
  replace(config.context, o.context);
  replace(config.vocab_size, o.vocab);
  config.vocab_multiple = o.vocab_multiple;
  config.recompute_blocks = o.recompute_blocks;
  return config;
}

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

/// One step; shows when in backward each bucket's last gradient was complete.
void show_buckets(GptStep& step) {
  const StateDict parameters = step.model().named_parameters();
  const std::vector<Bucket> buckets = step.ddp().reducer().buckets();
  const Tensor loss = step.forward();
  std::vector<double> ready;
  std::vector<HookHandle> hooks;
  const auto start = std::chrono::steady_clock::now();
  for (const Bucket& bucket : buckets) {
    hooks.push_back(register_accumulate_hook(parameters[bucket.params.back()].second,
                                             [&] { ready.push_back(seconds_since(start)); }));
  }
  step.backward(loss);
  const double whole = seconds_since(start);
  step.update();
  for (size_t b = 0; b < ready.size(); ++b) {
    std::printf("bucket %zu: %.2f MiB, all-reduce began at %.0f %% of backward\n", b,
                static_cast<double>(buckets[b].total_bytes) / (1 << 20), 100 * ready[b] / whole);
  }
}

/// How the wrapper and backward alone compare, in turns, because a GPU's clock moves with time.
void compare_ddp(const Options& o, GptStep& with, Device device) {
  GptStep without(config_of(o), o.batch, parse_precision(o.step.precision), device, nullptr);
  if (o.step.graph) without.keep_schedule_on_device();
  const Step steps[] = {prepare(o.step, device, [&] { return with(); }),
                        prepare(o.step, device, [&] { return without(); })};
  constexpr int kRounds = 5;
  std::vector<double> seconds[2];
  for (int round = 0; round < 2 * kRounds; ++round) {
    const int which = (round + round / 2) % 2;  // with, without, without, with, ...
    seconds[which].push_back(seconds_per_step(device, o.step.steps, steps[which]));
  }
  const double wrapped = median_of(seconds[0]), alone = median_of(seconds[1]);
  std::printf("%s, %s: %.3f ms per step with DistributedDataParallel, %.3f ms without: %+.2f %%\n",
              hardware(device).c_str(), o.step.precision.c_str(), 1e3 * wrapped, 1e3 * alone,
              100 * (wrapped / alone - 1));
  if (o.step.json) {
    print_json({{{"hardware", hardware(device)}},
                {{"ms_with_ddp", 1e3 * wrapped},
                 {"ms_without", 1e3 * alone},
                 {"ddp_percent", 100 * (wrapped / alone - 1)}}});
  }
}

std::unique_ptr<Communicator> communicator_of(const Options& o, const RankEnv& place,
                                              Device device) {
  if (o.independent) return make_communicator({.device = device});
  return make_communicator({.rank = place.rank,
                            .world_size = place.world_size,
                            .local_world_size = place.local_world_size,
                            .run_id = place.run_id,
                            .device = device,
                            .master_addr = place.master_addr,
                            .master_port = place.master_port});
}

/// What forward and backward take on the host, median over steps. On a GPU that is launching.
struct HostTimes {
  std::vector<double> forward, backward;
};

void report(const Options& o, const RankEnv& place, Device device, GptStep& gpt, double seconds,
            const HostTimes& host, const CommStats& comm) {
  const double tokens = static_cast<double>(gpt.tokens()) / seconds;
  const double flops = tokens * gpt.model().flops_per_token();
  const double share = share_of_peak(o.step, device, flops);
  std::printf(
      "rank %d on %s: %s%s, %.1f ms per step (host: forward %.1f, backward %.1f), %.0f tok/s, "
      "%.1f GFLOP/s",
      place.rank, hardware(device).c_str(), o.step.precision.c_str(), o.step.graph ? ", graph" : "",
      1e3 * seconds, 1e3 * median_of(host.forward), 1e3 * median_of(host.backward), tokens,
      1e-9 * flops);
  if (share > 0) std::printf(", MFU %.1f %%", 100 * share);
  if (o.ddp == "on" && place.world_size > 1) {
    const double ms_per_step = 1e3 / static_cast<double>(o.step.steps);
    std::printf(", all-reduce %.2f ms of which %.2f ms exposed, gradients %.3f x parameters",
                comm.busy_seconds * ms_per_step, comm.waited_seconds * ms_per_step,
                static_cast<double>(gpt.ddp().reducer().bucket_bytes()) /
                    (4.0 * static_cast<double>(gpt.model().num_parameters())));
  }
  // Gradients are there all the time only where they lie in buckets: with several ranks this is the
  // peak of activations.
  const double in_steps =
      peak_mib(device) -
      static_cast<double>(memory_stats(device).total_allocated_bytes) / (1 << 20);
  std::printf(", peak %.0f MiB, %.1f of them within steps only\n", peak_mib(device), in_steps);
  if (o.step.json && place.rank == 0) {
    print_json({{{"hardware", hardware(device)}, {"precision", o.step.precision}},
                {{"ms", 1e3 * seconds},
                 {"per_second", tokens},
                 {"mfu_percent", 100 * share},
                 {"peak_mib", peak_mib(device)},
                 {"peak_in_steps_mib", in_steps}}});
  }
  std::fflush(stdout);
}

void run_rank(const Options& o, const RankEnv& place) {
  // Before anything else touches CUDA, so that this rank has a context on its own GPU only.
  const Device device = device_of_rank(o.step.device, place);
  if (o.step.threads > 0 || device.is_cpu()) {
    set_num_threads(o.step.threads > 0 ? o.step.threads
                                       : std::max(1, num_threads() / place.local_world_size));
  }
  const std::unique_ptr<Communicator> communicator =
      o.ddp == "off" ? nullptr : communicator_of(o, place, device);
  GptStep gpt(config_of(o), o.batch, parse_precision(o.step.precision), device, communicator.get());
  if (o.step.graph) gpt.keep_schedule_on_device();
  if (o.ddp == "both") return compare_ddp(o, gpt, device);

  gpt();  // the first one plans the buckets
  const bool shows_buckets = device.is_cpu() && place.world_size > 1 && !o.independent;
  if (shows_buckets && place.rank == 0) {
    show_buckets(gpt);
  } else if (shows_buckets) {
    gpt();
  }
  const StateDict parameters = gpt.model().named_parameters();
  HostTimes host;
  const Step step = prepare(o.step, device, [&] {
    const auto start = std::chrono::steady_clock::now();
    const Tensor loss = gpt.forward();
    const double forward = seconds_since(start);
    if (o.serial) {
      serial_backward(gpt.ddp(), loss, parameters, *communicator);
    } else {
      gpt.backward(loss);
    }
    host.forward.push_back(forward);
    host.backward.push_back(seconds_since(start) - forward);
    gpt.update();
    return loss;
  });
  CommStats comm = communicator ? communicator->stats() : CommStats{};
  const CommStats warm = comm;
  const double seconds = seconds_per_step(device, o.step.steps, step);
  if (communicator) comm = communicator->stats();
  comm.busy_seconds -= warm.busy_seconds;
  comm.waited_seconds -= warm.waited_seconds;
  report(o, place, device, gpt, seconds, host, comm);
}

/// Starts the ranks; the status of the whole.
int run_ranks_as_processes(const Options& o, RankEnv place) {
  place.world_size = place.local_world_size = o.ranks;
  std::vector<pid_t> children;
  for (int rank = 0; rank < o.ranks; ++rank) {
    const pid_t child = fork();
    if (child < 0) {
      throw IoError(concat("training_step_benchmark: fork failed, ", std::strerror(errno)));
    }
    if (child == 0) {
      place.rank = place.local_rank = rank;
      try {
        run_rank(o, place);
        _exit(0);
      } catch (const std::exception& error) {
        std::cerr << "rank " << rank << ": " << error.what() << '\n';
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

int run(const std::vector<std::string>& words) {
  Options o;
  ArgParser parser("training_step_benchmark", "[flags]", "Times GPT training steps.");
  add_flags(parser, o.step);
  parser.add("--ranks", &o.ranks, "processes to start, unless a launcher has").at_least(1);
  parser.add("--independent", &o.independent, "ranks exchange nothing");
  parser.add("--serial", &o.serial, "reduce gradients after backward, not during it");
  parser.add("--ddp", &o.ddp, "DistributedDataParallel around the model; both: in turns, one rank")
      .one_of({"on", "off", "both"});
  parser.add("--size", &o.size, "GPT-2's layers, heads, width, context and vocabulary")
      .one_of({"gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl"})
      .default_text("");
  const auto extent = [&](const char* flag, int64_t* value, const char* about, const char* usual) {
    parser.add(flag, value, about).at_least(1).default_text(usual);
  };
  extent("--layers", &o.layers, "transformer blocks", "4");
  extent("--heads", &o.heads, "attention heads", "4");
  extent("--dim", &o.dim, "width", "256");
  extent("--context", &o.context, "tokens per sequence", "256");
  extent("--vocab", &o.vocab, "vocabulary size", "256");
  extent("--vocab-multiple", &o.vocab_multiple, "round the vocabulary up to a multiple", "1");
  parser.add("--recompute-blocks", &o.recompute_blocks,
             "run each block again in backward instead of keeping its activations");
  parser.add("--batch", &o.batch, "sequences per rank and step").at_least(1);
  if (parser.parse(words).wants_help) {
    std::cout << parser.help();
    return 0;
  }
  const RankEnv place = detect_rank_env();
  require(o.ddp == "on" || (std::max(o.ranks, place.world_size) == 1 && !o.serial),
          "training_step_benchmark", "--ddp ", o.ddp, " is for one rank");
  if (place.world_size > 1 || o.ranks == 1) {
    run_rank(o, place);
    return 0;
  }
  return run_ranks_as_processes(o, place);
}

}  // namespace
}  // namespace trireme

int main(int argc, char** argv) { return trireme::run_benchmark(argc, argv, trireme::run); }
