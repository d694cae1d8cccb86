#include "core/cuda/check.h"

#include "core/base/settings.h"
#include "core/cuda/api.h"

namespace trireme::cuda {
namespace {

/// 13020 as CUDA writes it is version 13.2.
std::string version_text(int version) { return concat(version / 1000, ".", version % 1000 / 10); }

int driver_version() {
  int version = 0;
  return api().driver_get_version(&version) == cudaSuccess ? version : 0;
}

/// The driver gives one status for "there is none" and "there is an old one"; its version tells.
std::string without_driver() {
  const int version = driver_version();
  if (version == 0) {
    return concat(
        "no NVIDIA driver was found; run with --device cpu, or install a driver for CUDA ",
        kCudaVersion, " or newer (in a container: start it with GPU access)");
  }
  return concat("the NVIDIA driver is too old, it supports CUDA ", version_text(version),
                " but this build needs ", version_text(CUDART_VERSION),
                "; update the driver, build with an older toolkit, or run with --device cpu");
}

std::string no_device() {
  return "no CUDA device is visible; check nvidia-smi and CUDA_VISIBLE_DEVICES, or run with "
         "--device cpu";
}

std::string wrong_device() {
  int count = 0;
  api().get_device_count(&count);
  return concat("there is no such CUDA device, ", count,
                " are visible to this process; use cuda:0 to cuda:", count - 1,
                " or change CUDA_VISIBLE_DEVICES");
}

std::string fault() {
  return "a kernel faulted on the device, perhaps one of an earlier op; run again with "
         "TRIREME_SYNC_DEBUG=1, which names the op";
}

std::string cause_of(cudaError_t status) {
  switch (status) {
    case cudaErrorInsufficientDriver:
      return without_driver();
    case cudaErrorNoDevice:
      return no_device();
    case cudaErrorInvalidDevice:
      return wrong_device();
    case cudaErrorMemoryAllocation:
      return "out of device memory; use a smaller batch or model";
    case cudaErrorIllegalAddress:
    case cudaErrorMisalignedAddress:
    case cudaErrorLaunchFailure:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorAssert:
      return fault();
    case cudaErrorNoKernelImageForDevice:
      return "this build has no code for this GPU; build with TRIREME_CUDA_ARCHITECTURES set to it";
    case cudaErrorDevicesUnavailable:
      return "the device is in use by another process or in a mode that forbids sharing; see "
             "nvidia-smi";
    case cudaErrorECCUncorrectable:
      return "the device's memory has an uncorrectable error; take this GPU out of service";
    case cudaErrorStreamCaptureUnsupported:
    case cudaErrorStreamCaptureImplicit:
    case cudaErrorStreamCaptureInvalidated:
      return "this cannot be part of a captured step; leave it out of the step, or do not capture";
    default:
      return cudaGetErrorString(status);
  }
}

bool waits_behind_launches() {
  static const bool waits = get_setting("TRIREME_SYNC_DEBUG") == "1";
  return waits;
}

bool is_capturing(cudaStream_t stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  return api().stream_is_capturing(stream, &status) != cudaSuccess ||
         status != cudaStreamCaptureStatusNone;
}

[[noreturn]] void fail_in_kernel(const char* op, cudaError_t status) {
  throw CudaError(concat(op, ": its work on the device failed, ", cudaGetErrorString(status), " (",
                         cudaGetErrorName(status), ")"));
}

}  // namespace

std::string describe(const char* op, cudaError_t status) {
  return concat(op, ": ", cause_of(status), " (", cudaGetErrorName(status), ")");
}

void check(const char* op, cudaError_t status) {
  if (status == cudaSuccess) [[likely]] {
    return;
  }
  api().get_last_error();  // else the next launch would report this error again
  if (status == cudaErrorMemoryAllocation) throw OutOfMemory(describe(op, status));
  throw CudaError(describe(op, status));
}

void check_launch(const char* op, Cuda device) {
  check(op, api().get_last_error());
  if (!waits_behind_launches() || is_capturing(device.stream)) return;
  const cudaError_t status = api().stream_synchronize(device.stream);
  if (status != cudaSuccess) fail_in_kernel(op, status);
}

}  // namespace trireme::cuda
