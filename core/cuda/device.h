// The devices of this process: how many, what they can do, and which one a rank takes.

#pragma once

#include <cstdint>
#include <string>

namespace trireme::cuda {

/// Most devices of one process.
inline constexpr int kMaxDevices = 64;

/// What launching kernels needs to know.
struct DeviceLimits {
  int multiprocessors = 0;
  int64_t shared_bytes_per_block = 0;  // with opting in
  int compute_capability = 0;          // 90 for 9.0
};

/// Asked from the driver once per device.
const DeviceLimits& device_limits(int device);

struct DeviceInfo {
  std::string name;
  std::string uuid;    // "GPU-" and 36 characters, as nvidia-smi prints it
  std::string pci_id;  // "0000:17:00.0"
  int64_t memory_bytes = 0;
  int compute_capability = 0;
};

/// Visible devices. Throws CudaError where there is no driver, or an old one; 0 is no error.
int device_count();
DeviceInfo device_info(int device);

/// The device of the rank with this number on its node, as an index for Device: local ranks take
/// devices in turn, and a process that sees one device only takes that. To be called before
/// anything else of CUDA, so that no context appears on another rank's device; makes the device the
/// calling thread's. Throws CudaError where there is no driver or device.
int select_device(int local_rank);

/// Makes `device` the calling thread's; costs nothing where it is already.
void make_current(int device);

}  // namespace trireme::cuda
