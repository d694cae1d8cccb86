// The devices of this process: how many, and what they can do. Which one a rank takes is said in
// distributed/device_of_rank.h.

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

/// Makes `device` the calling thread's; costs nothing where it is already.
void make_current(int device);

}  // namespace trireme::cuda
