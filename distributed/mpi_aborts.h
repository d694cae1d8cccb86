// How the ranks of an MPI job tell each other that one of them gives up.

#pragma once

#include <mpi.h>

#include <mutex>
#include <string>
#include <vector>

namespace trireme {

/// Any thread may call.
class MpiAborts {
 public:
  /// `comm` must outlive this.
  MpiAborts(MPI_Comm comm, int rank, int world_size)
      : comm_(comm), rank_(rank), world_size_(world_size) {}
  MpiAborts(const MpiAborts&) = delete;

  /// Tells all ranks, without waiting, unless one of them has been first.
  void tell(const std::string& reason) noexcept;
  /// "aborted by rank 1: disk full" once any rank has told, "" before. From then on the exit of
  /// this process waits for nobody.
  std::string heard();

 private:
  const MPI_Comm comm_;
  const int rank_;
  const int world_size_;
  std::mutex mutex_;

  // Guarded by mutex_.
  std::string reason_;
  std::vector<MPI_Request> sends_;
};

}  // namespace trireme
