#include "distributed/mpi_aborts.h"

#include "core/base/error.h"
#include "distributed/mpi_session.h"

namespace trireme {
namespace {

constexpr int kAbortTag = 1;
constexpr size_t kMostBytes = 1000;  // small enough to leave at once

}  // namespace

void MpiAborts::tell(const std::string& reason) noexcept {
  try {
    std::lock_guard lock(mutex_);
    if (!reason_.empty()) return;
    reason_ = concat("aborted by rank ", rank_, ": ", reason).substr(0, kMostBytes);
    // The text stays as long as the requests need it.
    for (int r = 0; r < world_size_; ++r) {
      if (r == rank_) continue;
      MPI_Request request = MPI_REQUEST_NULL;
      MPI_Isend(reason_.data(), static_cast<int>(reason_.size()), MPI_CHAR, r, kAbortTag, comm_,
                &request);
      sends_.push_back(request);
    }
    int done = 0;
    MPI_Testall(static_cast<int>(sends_.size()), sends_.data(), &done, MPI_STATUSES_IGNORE);
  } catch (const std::exception&) {
    // The others find out by their deadline.
  }
}

std::string MpiAborts::heard() {
  std::lock_guard lock(mutex_);
  if (!reason_.empty()) return reason_;
  int there = 0;
  MPI_Status status;
  check_mpi(MPI_Iprobe(MPI_ANY_SOURCE, kAbortTag, comm_, &there, &status), "MPI_Iprobe");
  if (!there) return "";
  int bytes = 0;
  MPI_Get_count(&status, MPI_CHAR, &bytes);
  std::string text(bytes, '\0');
  check_mpi(MPI_Recv(text.data(), bytes, MPI_CHAR, status.MPI_SOURCE, kAbortTag, comm_,
                     MPI_STATUS_IGNORE),
            "MPI_Recv");
  mark_mpi_failed();
  reason_ = text;
  return reason_;
}

}  // namespace trireme
