// NcclWork: one launch on the communicator's stream, of one collective or of a group; or one replay
// of a captured step with all the collectives in it.

#pragma once

#include <cuda_runtime_api.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "core/cuda/stream.h"
#include "distributed/communicator.h"
#include "distributed/nccl_connection.h"

namespace trireme {

class NcclWork final : public Work {
 public:
  NcclWork(std::shared_ptr<NcclConnection> connection, int device)
      : connection_(std::move(connection)), ready_(device), done_(device) {}

  /// Makes the calling thread's current stream wait; the host does not. Throws the communicator's
  /// first failure, whichever collective it was of.
  void wait() override;
  bool is_done() const override;

  // For the communicator: what the launch is, then its two ends.
  std::string description;                           // "all_reduce #12 (average of ...)"
  std::vector<std::shared_ptr<const void>> buffers;  // of allocate(), held until it is done
  void begin(cudaStream_t compute, cudaStream_t stream);
  void end(cudaStream_t stream);
  /// The ends of a replay on `compute`: it runs behind what `stream` has been given so far, and
  /// before what comes there later. Nobody waits for it through wait().
  void begin_replay(cudaStream_t compute, cudaStream_t stream);
  void end_replay(cudaStream_t compute, cudaStream_t stream);

  // For the watch.
  /// True once the work before it on the caller's stream is done, so that it can run.
  bool is_ready() const { return ready_.is_done(); }
  /// It is part of a CUDA graph that is being recorded: there is nothing to watch.
  bool is_captured() const { return captured_; }

 private:
  const std::shared_ptr<NcclConnection> connection_;
  cuda::Event ready_, done_;
  std::atomic<bool> launched_{false};  // the watch may look before a launch returns
  bool captured_ = false;
};

}  // namespace trireme
