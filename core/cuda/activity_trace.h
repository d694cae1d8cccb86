// What a device did when, as a file that trace viewers open (Perfetto, chrome://tracing): kernels,
// copies and memsets by stream, NCCL's among them, above them the host's ranges (TraceRange).
//
// Through CUPTI, opened at run time. The file grows while the program runs, in Chrome's JSON array
// form, which viewers accept even if the program dies before the last line.

#pragma once

#include <memory>
#include <string>

namespace trireme::cuda {

struct CuptiApi;

/// One per process at a time; start it before the first work on the device, so that nothing is
/// missed.
class ActivityTrace {
 public:
  /// Events appear under process `rank`. Throws CudaError where CUPTI is missing or refuses
  /// (another profiler is attached), IoError where the file cannot be written.
  ActivityTrace(const std::string& path, int rank);
  /// On entry points of the caller's own, for tests.
  ActivityTrace(const std::string& path, int rank, const CuptiApi& api);
  /// Waits until what the device has done so far is in the file.
  ~ActivityTrace();
  ActivityTrace(const ActivityTrace&) = delete;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace trireme::cuda
