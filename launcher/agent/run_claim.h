// Owning a run id on this machine, and clearing away its shared memory.

#pragma once

#include <string>
#include <vector>

#include "launcher/agent/unique_fd.h"

namespace trireme {

/// Held by the launcher of a run for as long as it lives, however it dies: a socket in the abstract
/// name space, which the kernel removes. Two runs of one id would share their shared memory.
class RunClaim {
 public:
  /// Throws InvalidArgument if another launcher of this user runs that id now.
  explicit RunClaim(const std::string& run_id);

 private:
  UniqueFd socket_;
};

/// Deletes what ranks of `run_id` have left in /dev/shm, and returns the names. Requires a RunClaim
/// and that no rank of the run lives.
std::vector<std::string> sweep_shared_memory(const std::string& run_id);

/// A TCP port of 127.0.0.1 that nobody uses at this moment. Throws Error if there is none.
int find_free_port();

}  // namespace trireme
