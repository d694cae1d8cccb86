#include "core/cuda/device.h"

#include <array>
#include <iomanip>
#include <memory>
#include <mutex>
#include <sstream>

#include "core/base/error.h"
#include "core/cuda/api.h"
#include "core/cuda/check.h"

namespace trireme::cuda {
namespace {

/// -1 until this thread has chosen: the runtime's own default, device 0, is not asked for, because
/// asking would make a context there.
constinit thread_local int current_device = -1;

int attribute(int device, cudaDeviceAttr which) {
  int value = 0;
  check("device_limits", api().device_get_attribute(&value, which, device));
  return value;
}

void require_device(const char* op, int device) {
  const int count = device_count();
  if (count == 0) check(op, cudaErrorNoDevice);
  if (device < 0 || device >= count) {
    throw CudaError(concat(op, ": there is no device cuda:", device, ", this process sees ", count,
                           " (cuda:0 to cuda:", count - 1,
                           "); check --device, the local rank and CUDA_VISIBLE_DEVICES"));
  }
}

std::string uuid_text(const cudaUUID_t& uuid) {
  std::ostringstream out;
  out << "GPU-" << std::hex << std::setfill('0');
  for (int i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out << '-';
    out << std::setw(2) << static_cast<int>(static_cast<unsigned char>(uuid.bytes[i]));
  }
  return out.str();
}

std::string pci_text(const cudaDeviceProp& of) {
  std::ostringstream out;
  out << std::hex << std::setfill('0') << std::setw(4) << of.pciDomainID << ':' << std::setw(2)
      << of.pciBusID << ':' << std::setw(2) << of.pciDeviceID << ".0";
  return out.str();
}

}  // namespace

const DeviceLimits& device_limits(int device) {
  static std::array<DeviceLimits, kMaxDevices> limits;
  static std::array<std::once_flag, kMaxDevices> asked;
  require(device >= 0 && device < kMaxDevices, "device_limits", "device must be from 0 to ",
          kMaxDevices - 1, ", got ", device);
  const auto at = static_cast<size_t>(device);
  std::call_once(asked[at], [&] {
    limits[at] = {
        .multiprocessors = attribute(device, cudaDevAttrMultiProcessorCount),
        .shared_bytes_per_block = attribute(device, cudaDevAttrMaxSharedMemoryPerBlockOptin),
        .compute_capability = attribute(device, cudaDevAttrComputeCapabilityMajor) * 10 +
                              attribute(device, cudaDevAttrComputeCapabilityMinor)};
  });
  return limits[at];
}

int device_count() {
  int count = 0;
  const cudaError_t status = api().get_device_count(&count);
  if (status == cudaErrorNoDevice) {
    api().get_last_error();
    return 0;
  }
  check("cuda", status);
  return count;
}

DeviceInfo device_info(int device) {
  require_device("device_info", device);
  cudaDeviceProp of{};
  check("device_info", api().get_device_properties(&of, device));
  return {.name = of.name,
          .uuid = uuid_text(of.uuid),
          .pci_id = pci_text(of),
          .memory_bytes = static_cast<int64_t>(of.totalGlobalMem),
          .compute_capability = of.major * 10 + of.minor};
}

void make_current(int device) {
  if (current_device == device) return;
  require_device("cuda", device);
  check("cuda", api().set_device(device));
  current_device = device;
}

}  // namespace trireme::cuda
