// NodeGroup: how the processes of one node find each other and pass shared memory around.
//
// Rank 0 listens on a socket named after the run, in Linux's abstract name space: the name exists
// as long as rank 0 listens and no file is left by any kind of end. The others connect, say who
// they are, and are answered with the board. The connections stay open for later allocations; each
// carries messages from rank 0 only.

#pragma once

#include <chrono>
#include <exception>
#include <string>
#include <vector>

#include "distributed/process_identity.h"
#include "distributed/shared_memory.h"

namespace trireme {

class NodeGroup {
 public:
  /// Collective. `name` is free to choose but unique among runs, see shm_name_prefix. Throws
  /// CommError: kSystem if the name is in use (with the process that uses it) or the ranks do
  /// not see each other's processes, kMismatch if ranks disagree about world_size, kTimeout when
  /// ranks are missing after `timeout`, kPeerLost when one dies meanwhile. A process that says it
  /// is a rank that has come already gets kMismatch alone.
  NodeGroup(const std::string& name, int rank, int world_size, std::chrono::milliseconds timeout);
  NodeGroup(const NodeGroup&) = delete;

  /// Of every rank; complete on rank 0 only.
  const std::vector<ProcessIdentity>& processes() const { return processes_; }

  /// Collective: on rank 0 hands `memory` to all; on the others returns it.
  void give(const FileDescriptor& memory);
  FileDescriptor take();
  /// Rank 0, instead of give(): makes take() throw this on all others: a CommError of the same
  /// kind, or of kSystem if it is none.
  void give_error(const std::exception& error) noexcept;

 private:
  void gather(const FileDescriptor& listener);
  /// Throws if a rank that has come is gone, or if the time is up.
  void check_present(std::chrono::steady_clock::time_point deadline) const;
  /// Hears what a process says first; true if it is one of the group from now on, false if it was
  /// told why not. Throws if no group can come of it.
  bool admit(FileDescriptor link, const std::string& text);
  void join(const std::string& name);

  const int rank_;
  const int world_size_;
  const std::chrono::milliseconds timeout_;
  std::vector<ProcessIdentity> processes_;
  std::string refused_;                // rank 0: whom it has sent away last, and why
  std::vector<FileDescriptor> links_;  // rank 0: one per rank, [0] empty; others: [0] only
};

}  // namespace trireme
