// summary.json: what came out of a run, in one small file.

#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace trireme {

/// Fields that do not apply are left out of the file; NaN and infinities are written as null.
struct RunSummary {
  std::optional<double> final_loss = {};  // training loss of the last logged step
  std::optional<double> val_loss = {};
  std::optional<double> accuracy = {};  // classifiers: share of correct answers, 0 to 1
  // Over all ranks, checkpoints and evaluation excluded.
  std::optional<double> tokens_per_second = {};
  std::optional<double> samples_per_second = {};
  int64_t steps = 0;  // number of the last finished step
  int64_t world_size = 1;
  std::string precision = {};                 // "bf16"; "" leaves it out
  std::optional<int64_t> skipped_steps = {};  // left out because f16 gradients overflowed
  double wall_seconds = 0;                    // of this process, start to end
  int64_t peak_memory_bytes = 0;              // largest of all ranks
};

/// Writes the file whole or not at all: to a temporary file beside it, flushed to the disk, then
/// renamed, durably. Throws IoError with path and reason.
void write_run_summary(const std::string& path, const RunSummary& summary);

/// True if the file is there and is the summary of a run of so many steps.
bool has_run_summary(const std::string& path, int64_t steps);

}  // namespace trireme
