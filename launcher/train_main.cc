// trireme-train: the reference trainer. `trireme-train gpt --help` documents it.

#include <cstdio>
#include <functional>
#include <iostream>

#include "core/base/config.h"
#include "core/base/git_commit.h"
#include "core/base/log.h"
#include "core/base/parallel_for.h"
#include "distributed/env.h"
#include "distributed/exit_code_of.h"
#include "distributed/host_name.h"
#include "distributed/make_communicator.h"
#include "launcher/args.h"
#include "launcher/rank_setup.h"
#include "launcher/stop_wish.h"
#include "launcher/train_options.h"
#include "launcher/train_report.h"
#include "launcher/trainer.h"

namespace trireme {
namespace {

constexpr char kUsage[] =
    "usage: trireme-train gpt|lstm|mlp|resnet --data PATH [flags]\n"
    "\n"
    "Trains a model on one rank, or on as many as started it: `trireme run -n 2 -- trireme-train\n"
    "gpt ...` on one node, `mpirun -np 4 trireme-train gpt ...` on one or several.\n"
    "\n"
    "  gpt     a language model in the shape of GPT-2 or Llama, on text or token files\n"
    "  lstm    the same with recurrent layers\n"
    "  mlp     a classifier of images (IDX files, CIFAR-10, folders of PNG and JPEG), fully\n"
    "          connected\n"
    "  resnet  the same, convolutional\n"
    "\n"
    "`trireme-train gpt --help` lists the flags. Exit codes: docs/exit_codes.md\n";

using MakeTask = std::function<std::unique_ptr<TrainingTask>()>;

// Everything after the flags are known.
int train(const char* program, const TrainOptions& options, const MakeTask& make_task) {
  const RankEnv env = detect_rank_env(rank_flags_of(options));
  set_log_rank(env.rank, env.world_size);
  watch_for_stop_signals();
  // Before the options are looked at together: what this machine cannot do comes first.
  const Device device = choose_device(options.device, env);
  check(options, env.world_size);
  require(!options.cuda_graph || !device.is_cpu(), "trireme-train",
          "--cuda-graph is for GPUs, this rank computes on the CPU; add --device cuda");
  choose_num_threads(env);

  // The data is looked at before ranks meet: a wrong path is then one clear message at once.
  const std::unique_ptr<TrainingTask> task = make_task();
  const std::unique_ptr<Communicator> communicator =
      make_communicator({.backend = options.backend == "auto" ? "" : options.backend,
                         .rank = env.rank,
                         .world_size = env.world_size,
                         .local_world_size = env.local_world_size,
                         .run_id = env.run_id,
                         .timeout = {},
                         .device = device,
                         .master_addr = env.master_addr,
                         .master_port = env.master_port});
  try {
    const std::string run_id = agree_on_run_name(env, *communicator);
    const std::string out = prepare_run_directory(options.out, run_id, *communicator);
    const auto trace = start_trace(out, device, env.rank);
    TrainReport report({.task = task->name(),
                        .is_classifier = task->is_classifier(),
                        .precision = options.precision,
                        .out = out,
                        .run_id = run_id,
                        .log_every = options.log_every},
                       env, *communicator);
    if (env.rank == 0) {
      log_info("trireme ", kVersion, " ", program, ": ", describe(env), "; ", num_threads(),
               " threads per rank and ", choose_loader_threads(options.loader_threads, device),
               " for its batches, device ", device, ", precision ", options.precision, ", backend ",
               communicator->backend());
      log_info(task->description());
      log_info("run directory ", out);
    }
    Trainer trainer(*task, options, out, *communicator, report);
    if (trainer.run() == Trainer::Outcome::kStopped && env.rank == 0) {
      log_info("stopped on request; to continue, run again with --out ", out,
               options.resume == "auto" ? "" : " --resume auto");
    }
    communicator->close();
    return kExitOk;
  } catch (const std::exception& error) {
    communicator->abort(error.what());
    throw;
  }
}

template <typename Model>
int run(const std::string& name, const char* about, TrainOptions options, Model model,
        const std::vector<std::string>& words,
        std::unique_ptr<TrainingTask> (*make_task)(const TrainOptions&, const Model&)) {
  const std::string program = "trireme-train " + name;
  ArgParser parser(program, "--data PATH [flags]", about);
  add_flags(parser, options);
  add_flags(parser, model);
  if (parser.parse(words).wants_help) {
    std::cout << parser.help();
    return kExitOk;
  }
  return train(name.c_str(), options, [&] { return make_task(options, model); });
}

// An error before train() has been reached also says whose it is, if that can be known.
void name_rank_in_log() {
  try {
    const RankEnv env = detect_rank_env();
    set_log_rank(env.rank, env.world_size);
  } catch (const std::exception&) {
    // The error that is being reported matters more.
  }
}

int main_of(const std::vector<std::string>& words) {
  const std::string command = words.empty() ? "" : words.front();
  const std::vector<std::string> rest(words.begin() + (words.empty() ? 0 : 1), words.end());
  if (command == "gpt") {
    return run<GptOptions>(
        "gpt", "Trains a language model in the shape of GPT-2 or Llama on text or token files.", {},
        {}, rest, make_gpt_task);
  }
  if (command == "lstm") {
    return run<LstmOptions>("lstm", "Trains an LSTM language model on text or token files.", {}, {},
                            rest, make_lstm_task);
  }
  if (command == "mlp") {
    TrainOptions options;
    options.batch = 64;
    options.weight_decay = 0.01;
    return run<MlpOptions>("mlp", "Trains a classifier of images (IDX files, CIFAR-10, folders).",
                           options, {}, rest, make_mlp_task);
  }
  if (command == "resnet") {
    TrainOptions options;
    options.batch = 64;
    options.weight_decay = 0.01;
    return run<ResNetOptions>("resnet",
                              "Trains a residual network on images (IDX files, CIFAR-10, folders).",
                              options, {}, rest, make_resnet_task);
  }
  if (command == "--help" || command == "-h") {
    std::cout << kUsage;
    return kExitOk;
  }
  if (command == "--version") {
    std::cout << "trireme-train " << kVersion << " (" << kGitCommit << ")\n";
    return kExitOk;
  }
  throw InvalidArgument(
      concat("trireme-train: the first word must be gpt, lstm, mlp or resnet, got '", command,
             "'; trireme-train --help"));
}

}  // namespace
}  // namespace trireme

int main(int argc, char** argv) {
  using namespace trireme;
  // Behind a launcher's pipe, too, a line is seen when it is written.
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  try {
    return main_of(std::vector<std::string>(argv + 1, argv + argc));
  } catch (const std::exception& error) {
    if (log_prefix().empty()) name_rank_in_log();
    log_error(error.what(), " (host ", host_name(), ")");
    return leave_with_code_of(error);
  }
}
