// cuDNN 9's graph interface and its recurrent layers, loaded at run time: programs start on
// machines that do not have it.
//
// Every entry point that Trireme calls stands in one table, so that tests put their own there.

#pragma once

#include <cudnn_adv.h>
#include <cudnn_graph.h>

#include <string>

#include "core/base/error.h"

namespace trireme::kernels {

// clang-format off
#define TRIREME_CUDNN_FUNCTIONS(X) \
  X(GetVersion) X(GetErrorString) X(GetLastErrorString) X(Create) X(Destroy) X(SetStream) \
  X(BackendCreateDescriptor) X(BackendDestroyDescriptor) X(BackendSetAttribute) \
  X(BackendGetAttribute) X(BackendFinalize) X(BackendExecute) \
  X(CreateTensorDescriptor) X(DestroyTensorDescriptor) X(SetTensorNdDescriptor) \
  X(GetTensorNdDescriptor) X(CreateDropoutDescriptor) X(DestroyDropoutDescriptor) \
  X(SetDropoutDescriptor) X(CreateRNNDescriptor) X(DestroyRNNDescriptor) \
  X(SetRNNDescriptor_v8) X(CreateRNNDataDescriptor) X(DestroyRNNDataDescriptor) \
  X(SetRNNDataDescriptor) X(GetRNNWeightSpaceSize) X(GetRNNTempSpaceSizes) \
  X(GetRNNWeightParams) X(RNNForward) X(RNNBackwardData_v8) X(RNNBackwardWeights_v8)
// clang-format on

/// cudnn<name> for each name above.
struct CudnnApi {
#define TRIREME_MEMBER(name) decltype(&::cudnn##name) name;
  TRIREME_CUDNN_FUNCTIONS(TRIREME_MEMBER)
#undef TRIREME_MEMBER
};

/// The library's functions. Loads it in the first call; throws CudaError that says what to install
/// where it is missing, or too old. Thread-safe.
const CudnnApi& cudnn_api();

/// Puts `table` in the place of the library while it lives: for tests. Not while another thread
/// uses it, nor after this one has: what was made with the library stays with it.
class ScopedCudnnApi {
 public:
  explicit ScopedCudnnApi(const CudnnApi& table);
  ~ScopedCudnnApi();
  ScopedCudnnApi(const ScopedCudnnApi&) = delete;

 private:
  const CudnnApi* before_;
};

/// cuDNN has no kernel for this: nothing is wrong, something else is to compute it.
class CudnnUnsupported : public CudaError {
 public:
  using CudaError::CudaError;
};

/// Throws CudaError `op: what failed, status; what cuDNN says` unless `status` is success:
/// CudnnUnsupported where is_unsupported(status).
void check_cudnn(const CudnnApi& api, const char* op, const std::string& what,
                 cudnnStatus_t status);

/// True for the statuses that mean: cuDNN has no kernel for this, ask another way.
bool is_unsupported(cudnnStatus_t status);

}  // namespace trireme::kernels
