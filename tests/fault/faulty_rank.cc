// A training program in which rank 1 fails on purpose: faulty_rank PHASE ACTION CHECKPOINT_DIR.
//   PHASE   init, forward, backward, collective or checkpoint
//   ACTION  raise (an exception), exit (code 3) or kill (SIGKILL)

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <iostream>

#include "core/base/log.h"
#include "core/checkpoint/checkpoint.h"
#include "core/models/mlp.h"
#include "core/optim/sgd.h"
#include "distributed/ddp.h"
#include "distributed/env.h"
#include "distributed/exit_code_of.h"
#include "distributed/make_communicator.h"

namespace trireme {
namespace {

constexpr int kFaultyRank = 1;
constexpr int64_t kFaultyStep = 3, kSteps = 1'000'000;  // without a fault it would take for ever

struct Fault {
  std::string phase, action;
  int rank = 0;

  void strike_in(const std::string& where, int64_t step) const {
    if (rank != kFaultyRank || where != phase || step != kFaultyStep) return;
    if (action == "kill") ::kill(::getpid(), SIGKILL);
    if (action == "exit") ::_exit(3);
    throw Error(concat("injected fault in ", where));
  }
};

int run(const std::string& phase, const std::string& action, const std::string& directory) {
  const RankEnv env = detect_rank_env();
  set_log_rank(env.rank, env.world_size);
  const Fault fault{phase, action, env.rank};
  fault.strike_in("init", kFaultyStep);
  const auto comm = make_communicator({.backend = "",
                                       .rank = env.rank,
                                       .world_size = env.world_size,
                                       .local_world_size = env.local_world_size,
                                       .run_id = env.run_id,
                                       .timeout = {}});
  try {
    Generator generator(1);
    Mlp model({.sizes = {64, 256, 256, 10}}, generator);
    DistributedDataParallel ddp(model, *comm, {.sizes = {1 << 10, 64 << 10, 1 << 10}});
    Sgd optimizer({{model.named_parameters(), {}}}, {});
    const Tensor x = rand({8, 64}, generator);
    for (int64_t step = 0; step < kSteps; ++step) {
      fault.strike_in("forward", step);
      const Tensor y = model.forward(x);
      auto hook = register_accumulate_hook(model.named_parameters()[2].second,
                                           [&] { fault.strike_in("backward", step); });
      ddp.backward(sum(y));
      optimizer.step();
      optimizer.zero_grad();
      // The peers are inside this collective when rank 1 strikes before joining it.
      fault.strike_in("collective", step);
      comm->barrier();
      if (env.rank == kFaultyRank && phase == "checkpoint") {
        Snapshot snapshot{.step = step, .model = model.state_dict(), .optimizer = {}, .state = {}};
        save_checkpoint(directory, snapshot, 2);
        fault.strike_in("checkpoint", step);
      }
      comm->barrier();
    }
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
    return trireme::exit_code_of(error);
  }
}
