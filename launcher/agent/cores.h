// How many cores this process may use, and how ranks share them.

#pragma once

#include <optional>
#include <string>
#include <vector>

namespace trireme {

/// The cores in this process's affinity mask, hardware threads of one core side by side.
std::vector<int> allowed_cores();

/// The CPU limit of this control group (a container's `--cpus`), in cores; nothing if unlimited.
std::optional<double> cpu_quota();

/// What each rank gets.
struct CoreShare {
  std::vector<std::vector<int>> cores;  // per rank; empty if ranks are not bound
  int threads = 1;                      // per rank
};

/// Divides `cores` into consecutive shares that differ by at most one core; every rank has as many
/// threads as the smallest share. With fewer cores than ranks, or a quota below the number of
/// cores, ranks are not bound (the system moves them) and share the threads evenly, at least one.
/// Requires ranks >= 1 and at least one core.
CoreShare share_cores(const std::vector<int>& cores, std::optional<double> quota, int ranks);

/// "0-3,8".
std::string format_cores(const std::vector<int>& cores);

}  // namespace trireme
