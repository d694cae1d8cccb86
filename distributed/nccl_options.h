// How the `nccl` backend is set up: one typed struct, filled from the settings table or in code.
//
// docs/nccl.md explains each for users, with the NCCL_* variables that matter beside them.

#pragma once

#include <chrono>
#include <functional>
#include <string>

namespace trireme {

struct NcclOptions {
  // Of each communicator. 0, -1 and "": NCCL decides.
  int min_ctas = 0;
  int max_ctas = 0;           // thread blocks per collective; fewer leave more to the computation
  int cga_cluster_size = -1;  // 0 to 8
  int traffic_class = -1;     // of the network, see the fabric's quality of service
  std::string network = {};   // "Socket", "IB"
  std::string name = {};      // in NCCL's own log and traces

  // Of the process: NCCL reads them from its environment when a communicator is made.
  std::string algorithm = {};  // "Ring", "Tree", "NVLS", as NCCL_ALGO
  std::string protocol = {};   // "Simple", "LL", "LL128", as NCCL_PROTO

  /// allocate() takes memory that NCCL may use without copies of its own (ncclMemAlloc,
  /// ncclCommRegister).
  bool registered_buffers = false;
  /// Two ranks on one GPU are an error unless this is set. For tests: every rank then poses as a
  /// node of its own, all data goes over loopback, and timings mean nothing.
  bool allow_shared_gpu = false;

  /// How often collectives under way are looked at. Sets how soon an error is noticed.
  std::chrono::milliseconds watch_interval{100};
  /// NCCL's abort may itself hang. After this it is left behind.
  std::chrono::milliseconds abort_timeout{10'000};
  /// Called with the text of the failure when an abort hung: the GPU stays busy and whoever waits
  /// for it waits for ever. Empty: the process says so and ends with kExitUnavailable.
  std::function<void(const std::string&)> on_stuck_abort = {};
};

/// From TRIREME_NCCL_* and TRIREME_ALLOW_SHARED_GPU.
NcclOptions nccl_options_from_settings();

/// What must be the same on every rank, in one line; also for the log.
std::string describe(const NcclOptions& options);

/// Puts into the process's environment what NCCL reads only there: algorithm and protocol, and with
/// allow_shared_gpu all that ranks on one GPU need (NCCL_HOSTID of `rank` and `run`, sockets over
/// loopback). To be called before the first NCCL call. A variable that is set already stays; throws
/// InvalidArgument where one contradicts the options.
void export_nccl_environment(const NcclOptions& options, const std::string& run, int rank);

}  // namespace trireme
