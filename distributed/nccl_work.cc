#include "distributed/nccl_work.h"

#include "core/cuda/api.h"
#include "core/cuda/check.h"

namespace trireme {

void NcclWork::begin(cudaStream_t compute, cudaStream_t stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  cuda::check("nccl", cuda::api().stream_is_capturing(compute, &status));
  captured_ = status != cudaStreamCaptureStatusNone;
  ready_.record(compute);
  ready_.make_wait(stream);
}

void NcclWork::end(cudaStream_t stream) {
  done_.record(stream);
  launched_ = true;
}

void NcclWork::begin_replay(cudaStream_t compute, cudaStream_t stream) {
  done_.record(stream);
  done_.make_wait(compute);
  ready_.record(compute);
}

void NcclWork::end_replay(cudaStream_t compute, cudaStream_t stream) {
  done_.record(compute);
  done_.make_wait(stream);
  launched_ = true;
}

void NcclWork::wait() {
  connection_->throw_if_failed();
  require(launched_, "nccl", "a collective of a group cannot be waited for inside run_grouped");
  done_.make_wait(cuda::current_stream(connection_->place().device));
}

bool NcclWork::is_done() const {
  if (connection_->has_failed() || captured_) return true;
  return launched_ && done_.is_done();
}

}  // namespace trireme
