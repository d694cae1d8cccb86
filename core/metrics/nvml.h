// What the driver's management library (NVML) tells about the GPUs of this machine: how busy, how
// warm, how fast they may be. Opened at run time; a machine without a driver has none of it.
//
// It makes no CUDA context and needs none of the CUDA libraries, so the exporter and `trireme
// doctor` use it. Devices are all of the machine's, whatever CUDA_VISIBLE_DEVICES says: compare
// UUIDs.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace trireme {

/// The entry points used, as NVML's own header declares them; 0 is success.
struct NvmlApi {
  struct Memory {
    unsigned long long total, free, used;
  };
  struct Utilization {
    unsigned gpu, memory;  // percent of the last second or less
  };
  struct Pci {
    char legacy_id[16];
    unsigned domain, bus, device, device_id, subsystem_id;
    char id[32];
  };
  using Gpu = void*;

  int (*init)();
  const char* (*error_string)(int);
  int (*system_driver_version)(char*, unsigned);
  int (*device_count)(unsigned*);
  int (*device_by_index)(unsigned, Gpu*);
  int (*name)(Gpu, char*, unsigned);
  int (*uuid)(Gpu, char*, unsigned);
  int (*pci)(Gpu, Pci*);
  int (*memory)(Gpu, Memory*);
  int (*utilization)(Gpu, Utilization*);
  int (*temperature)(Gpu, int sensor, unsigned*);  // sensor 0: the chip
  int (*power)(Gpu, unsigned*);                    // milliwatts
  int (*power_limit)(Gpu, unsigned*);
  int (*throttle_reasons)(Gpu, unsigned long long*);
  // type 0: corrected, 1: not; counter 0: since the driver was loaded
  int (*ecc_errors)(Gpu, int type, int counter, unsigned long long*);
};

/// One GPU now. What a GPU does not tell is empty.
struct GpuState {
  int index = 0;
  std::string name;
  std::string uuid;    // "GPU-..."
  std::string pci_id;  // "00000000:17:00.0"
  std::optional<int64_t> memory_total_bytes, memory_used_bytes, memory_free_bytes;
  std::optional<double> utilization;  // from 0 to 1
  std::optional<double> temperature_celsius;
  std::optional<double> power_watts, power_limit_watts;
  std::optional<uint64_t> throttle_bits;
  std::optional<int64_t> ecc_corrected, ecc_uncorrected;
};

/// Why a GPU runs below its highest clock. Idle and a clock set by the user are not among them.
struct ThrottleReason {
  uint64_t bit;
  const char* name;  // "power_cap" and so on; label of trireme_gpu_throttled
};
inline constexpr ThrottleReason kThrottleReasons[] = {
    {0x04, "power_cap"}, {0x08, "hardware_slowdown"}, {0x10, "sync_boost"},
    {0x20, "thermal"},   {0x40, "hardware_thermal"},  {0x80, "power_brake"},
};

/// The names of the reasons in `bits`, ", " between them; "" for none.
std::string throttle_text(uint64_t bits);

/// Not thread-safe; reading takes some milliseconds per GPU.
class GpuMonitor {
 public:
  /// Opens the driver's library. Does not throw where there is none: see is_open().
  GpuMonitor();
  explicit GpuMonitor(const NvmlApi& api);

  bool is_open() const { return api_.has_value(); }
  /// Why not, and what to do.
  const std::string& error() const { return error_; }
  /// "580.65.06"
  std::string driver_version() const;
  /// A GPU that fails to answer altogether is left out.
  std::vector<GpuState> read() const;

 private:
  void start();
  std::optional<NvmlApi> api_;
  std::string error_;
};

}  // namespace trireme
