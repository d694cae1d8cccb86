#include "launcher/train_checkpoint.h"

#include "core/base/log.h"
#include "core/checkpoint/catalog.h"
#include "core/checkpoint/checkpoint.h"
#include "core/checkpoint/load_state.h"
#include "distributed/control_channel.h"
#include "launcher/rank_zero_work.h"

namespace trireme {
namespace {

std::string generator_key(const std::string& name) { return "generator." + name + ".offset"; }

}  // namespace

void save_training_state(const std::string& out, int64_t step, Module& model,
                         const Optimizer& optimizer, int keep, Communicator& communicator) {
  // Nobody runs ahead and dies while the files are being written.
  run_on_rank_zero(communicator, [&] {
    Snapshot snapshot{.step = step,
                      .model = model.state_dict(),
                      .optimizer = optimizer.state_dict(),
                      .state = {}};
    snapshot.state.set_int("optimizer.steps", optimizer.steps_done());
    for (const auto& [name, generator] : model.named_generators()) {
      snapshot.state.set_int(generator_key(name), static_cast<int64_t>(generator->offset()));
    }
    const std::string path = save_checkpoint(checkpoint_directory(out), snapshot, keep);
    log_info("checkpoint of step ", step, " written to ", path);
  });
}

int64_t restore_training_state(const std::string& out, const std::string& resume, Module& model,
                               Optimizer& optimizer, Communicator& communicator) {
  StateValues values;
  if (communicator.rank() == 0) {
    if (const auto path = resolve_resume(out, resume)) {
      const Snapshot snapshot = load_checkpoint(*path);
      load_state(model.state_dict(), snapshot.model);
      load_state(optimizer.state_dict(), snapshot.optimizer);
      values = snapshot.state;
      values.set_int("step", snapshot.step);
      log_info("resuming from step ", snapshot.step, " of ", *path);
    }
  }
  values = StateValues::from_json(broadcast_text(values.to_json(), communicator), "checkpoint");
  if (!values.has("step")) return 0;
  for (const auto& [name, moment] : optimizer.state_dict()) {
    communicator.broadcast(moment.raw_data(), moment.nbytes(), 0)->wait();
  }
  optimizer.set_steps_done(values.get_int("optimizer.steps"));
  // Ranks draw equally many numbers, so one offset holds for all of them; their seeds differ.
  for (const auto& [name, generator] : model.named_generators()) {
    generator->set_offset(static_cast<uint64_t>(values.get_int(generator_key(name))));
  }
  return values.get_int("step");
}

}  // namespace trireme
