#include "distributed/mpi_transfer.h"

#include <algorithm>
#include <vector>

#include "distributed/mpi_session.h"

namespace trireme {
namespace {

constexpr int kMessageTag = 2;
constexpr int64_t kPieceBytes = 1 << 28;  // MPI counts are int

/// A message in pieces of int size.
class MpiTransfer final : public Transfer {
 public:
  MpiTransfer(MPI_Comm comm, MpiAborts& aborts, void* data, int64_t bytes, int peer, bool is_send)
      : aborts_(aborts), bytes_(bytes), peer_(peer), is_send_(is_send) {
    auto* next = static_cast<std::byte*>(data);
    int64_t left = bytes;
    do {
      const int n = static_cast<int>(std::min<int64_t>(left, kPieceBytes));
      MPI_Request request = MPI_REQUEST_NULL;
      check_mpi(is_send ? MPI_Isend(next, n, MPI_BYTE, peer, kMessageTag, comm, &request)
                        : MPI_Irecv(next, n, MPI_BYTE, peer, kMessageTag, comm, &request),
                is_send ? "MPI_Isend" : "MPI_Irecv");
      requests_.push_back(request);
      expected_.push_back(n);
      next += n;
      left -= n;
    } while (left > 0);
    statuses_.resize(requests_.size());
  }
  ~MpiTransfer() override {
    for (MPI_Request& request : requests_) {
      if (request == MPI_REQUEST_NULL) continue;
      if (!is_send_) MPI_Cancel(&request);
      MPI_Request_free(&request);
    }
  }

  Progress advance() override {
    int done = 0;
    const int count = static_cast<int>(requests_.size());
    const int code = MPI_Testall(count, requests_.data(), &done, statuses_.data());
    if (code != MPI_SUCCESS) check_size(statuses_[0].MPI_ERROR == MPI_ERR_TRUNCATE, "more");
    check_mpi(code, describe().c_str());
    if (!done) return Progress::kNone;
    for (int i = 0; !is_send_ && i < count; ++i) {
      int received = 0;
      MPI_Get_count(&statuses_[i], MPI_BYTE, &received);
      check_size(received < expected_[i], "fewer");
    }
    return Progress::kDone;
  }
  void check_peer() override {
    const std::string aborted = aborts_.heard();
    if (aborted.empty()) return;
    throw CommError(CommError::Kind::kAborted, concat(describe(), ": ", aborted));
  }
  std::string describe() const override {
    return concat(is_send_ ? "send of " : "recv of ", bytes_, " bytes ",
                  is_send_ ? "to rank " : "from rank ", peer_);
  }

 private:
  void check_size(bool differs, const char* how) const {
    if (!differs) return;
    throw CommError(CommError::Kind::kMismatch,
                    concat(describe(), ": the sender sent ", how, " bytes"));
  }

  MpiAborts& aborts_;
  const int64_t bytes_;
  const int peer_;
  const bool is_send_;
  std::vector<MPI_Request> requests_;
  std::vector<MPI_Status> statuses_;
  std::vector<int> expected_;
};

}  // namespace

std::unique_ptr<Transfer> start_mpi_send(MPI_Comm comm, MpiAborts& aborts, const void* data,
                                         int64_t bytes, int to) {
  return std::make_unique<MpiTransfer>(comm, aborts, const_cast<void*>(data), bytes, to, true);
}

std::unique_ptr<Transfer> start_mpi_recv(MPI_Comm comm, MpiAborts& aborts, void* data,
                                         int64_t bytes, int from) {
  return std::make_unique<MpiTransfer>(comm, aborts, data, bytes, from, false);
}

}  // namespace trireme
