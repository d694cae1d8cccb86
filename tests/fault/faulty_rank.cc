// A training program in which rank 1 fails on purpose: faulty_rank PHASE ACTION DIRECTORY.
//   PHASE   init, forward, backward, collective or checkpoint
//   ACTION  raise (an exception), exit (code 3), kill (SIGKILL), stop (SIGSTOP), nan (values that
//           are not finite; forward and backward only) or slow (a second of delay)
// Without a fault that ends it, training ends with 0 a few steps later. DIRECTORY receives
// pid-RANK, and checkpoints by rank 1.

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <thread>

#include "core/autograd/backward.h"
#include "core/base/log.h"
#include "core/checkpoint/checkpoint.h"
#include "core/metrics/stats_page.h"
#include "core/models/mlp.h"
#include "core/ops/ops.h"
#include "core/optim/clip.h"
#include "core/optim/sgd.h"
#include "core/tensor/create.h"
#include "distributed/ddp.h"
#include "distributed/env.h"
#include "distributed/exit_code_of.h"
#include "distributed/finite_check.h"
#include "distributed/make_communicator.h"

namespace trireme {
namespace {

constexpr int kFaultyRank = 1;
constexpr int64_t kFaultyStep = 3, kSteps = 6;
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

struct Fault {
  std::string phase, action;
  int rank = 0;

  bool is_now(const std::string& where, int64_t step) const {
    return rank == kFaultyRank && where == phase && step == kFaultyStep;
  }
  bool is_nan_now(const std::string& where, int64_t step) const {
    return action == "nan" && is_now(where, step);
  }
  void strike_in(const std::string& where, int64_t step) const {
    if (!is_now(where, step)) return;
    if (action == "kill") ::kill(::getpid(), SIGKILL);
    if (action == "exit") ::_exit(3);
    if (action == "stop") ::kill(::getpid(), SIGSTOP);
    if (action == "slow") std::this_thread::sleep_for(std::chrono::seconds(1));
    if (action == "raise") throw Error(concat("injected fault in ", where));
  }
};

// What happens when a file grows too large, which a save does in the middle of a write.
void kill_in_write(int) { ::kill(::getpid(), SIGKILL); }
void exit_in_write(int) { ::_exit(3); }
void stop_in_write(int) { ::kill(::getpid(), SIGSTOP); }

// Strikes while the files are being written; `raise` is a disk that is full.
void save(const std::string& directory, int64_t step, const Module& model, const Fault& fault) {
  if (fault.action == "slow") {
    fault.strike_in("checkpoint", step);
  } else if (fault.is_now("checkpoint", step)) {
    constexpr rlim_t kMostBytes = 64 << 10;  // a quarter of the model
    const rlimit limit{kMostBytes, kMostBytes};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    ::signal(SIGXFSZ, fault.action == "kill"   ? kill_in_write
                      : fault.action == "exit" ? exit_in_write
                      : fault.action == "stop" ? stop_in_write
                                               : SIG_IGN);
  }
  const Snapshot snapshot{.step = step, .model = model.state_dict(), .optimizer = {}, .state = {}};
  save_checkpoint(directory + "/checkpoints", snapshot, 2);
}

void train(const Fault& fault, const std::string& directory, Communicator& comm) {
  // Outlives an exception that leaves while it is being reduced. 16 MiB.
  static std::vector<float> large(4 << 20);
  Generator generator(1);
  Mlp model({.sizes = {64, 256, 256, 10}}, generator);
  const StateDict parameters = model.named_parameters();
  DistributedDataParallel ddp(model, comm, {.sizes = {1 << 10, 64 << 10, 1 << 10}});
  Sgd optimizer({{parameters, {}}}, {});
  const Tensor x = rand({8, 64}, generator);
  for (int64_t step = 0; step < kSteps; ++step) {
    fault.strike_in("forward", step);
    const auto loss_of_step = [&] {
      const Tensor loss = sum(model.forward(x));
      return fault.is_nan_now("forward", step) ? loss * kNan : loss;
    };
    const auto hook =
        register_accumulate_hook(parameters[2].second, [&] { fault.strike_in("backward", step); });
    const auto nan_hook = register_hook(parameters[2].second, [&](const Tensor& dx) {
      return fault.is_nan_now("backward", step) ? dx * kNan : Tensor();
    });
    const Tensor loss = loss_of_step();
    ddp.backward(loss);
    if (!std::isfinite(grad_norm(parameters))) {
      const auto backward_again = [&] {
        const auto local = ddp.no_sync();
        backward(loss_of_step());
      };
      throw Error("gradients are not finite; at fault: " +
                  ranks_not_finite(loss.item(), parameters, backward_again, comm));
    }
    optimizer.step();
    optimizer.zero_grad();
    const WorkPtr work = comm.all_reduce(large.data(), static_cast<int64_t>(large.size()),
                                         DType::kF32, ReduceOp::kSum);
    fault.strike_in("collective",
                    step);  // this rank's thread is in it, and the peers need its part
    work->wait();
    if (fault.rank == kFaultyRank) save(directory, step, model, fault);
    comm.barrier();
  }
}

int run(const std::string& phase, const std::string& action, const std::string& directory) {
  const RankEnv env = detect_rank_env();
  set_log_rank(env.rank, env.world_size);
  std::ofstream(concat(directory, "/pid-", env.rank)) << ::getpid();
  // A name in /dev/shm, which the launcher must sweep.
  const StatsPage page({.run_id = env.run_id.empty() ? concat("faulty-", ::getppid()) : env.run_id,
                        .rank = env.rank,
                        .world_size = env.world_size,
                        .local_rank = env.local_rank});
  const Fault fault{phase, action, env.rank};
  fault.strike_in("init", kFaultyStep);
  const auto comm = make_communicator({.backend = "",
                                       .rank = env.rank,
                                       .world_size = env.world_size,
                                       .local_world_size = env.local_world_size,
                                       .run_id = env.run_id,
                                       .timeout = {}});
  try {
    train(fault, directory, *comm);
    return 0;
  } catch (const std::exception& error) {
    comm->abort(error.what());
    throw;
  }
}

}  // namespace
}  // namespace trireme

int main(int argc, char** argv) {
  try {
    if (argc != 4) return 64;
    return trireme::run(argv[1], argv[2], argv[3]);
  } catch (const std::exception& error) {
    trireme::log_error(error.what());
    return trireme::leave_with_code_of(error);
  }
}
