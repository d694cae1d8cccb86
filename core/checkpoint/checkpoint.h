// Checkpoints: everything a run needs to go on, in one directory that is complete or not there.
//
// <directory>/step-00000100/{model,optimizer}.safetensors, state.json, manifest.json. The format is
// described in docs/checkpoint_format.md. One process at a time writes into a directory (rank 0),
// which a lock sees to; any number may read.

#pragma once

#include <cstdint>
#include <string>

#include "core/checkpoint/state_values.h"
#include "core/tensor/state_dict.h"

namespace trireme {

struct Snapshot {
  int64_t step = 0;     // steps done
  StateDict model;      // parameters and buffers
  StateDict optimizer;  // moments
  StateValues state;    // position, random generators, seed and size of the data order
};

/// Writes `snapshot` and returns the path of its directory. Creates `directory` if needed, deletes
/// what interrupted saves have left there, and afterwards deletes all but the `keep` checkpoints
/// written last (0 keeps all).
///
/// The files are written to a temporary directory, brought to the disk, and the directory is then
/// renamed: a crash at any instant leaves the older checkpoints and either none or all of the new
/// one. A checkpoint of the same step is replaced. Throws one IoError with path and reason (disk
/// full, no permission, another process writes there), and then leaves nothing of the new
/// checkpoint behind. Who saves repeatedly holds lock_directory() (directory_lock.h) in between, so
/// that two runs do not take turns in deleting each other's checkpoints.
std::string save_checkpoint(const std::string& directory, const Snapshot& snapshot, int keep = 0);

/// Reads a checkpoint directory and checks sizes and checksums. Throws IoError or DataError naming
/// the file. The tensors lie in private mappings of the files: copy them with load_state.
Snapshot load_checkpoint(const std::string& path);

}  // namespace trireme
