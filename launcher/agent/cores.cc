#include "launcher/agent/cores.h"

#include <errno.h>
#include <sched.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <tuple>

#include "core/base/error.h"
#include "launcher/agent/system_error.h"

namespace trireme {
namespace {

/// A number from the core's entry in sysfs, or 0 where there is none.
int topology(int core, const char* what) {
  int value = 0;
  std::ifstream(concat("/sys/devices/system/cpu/cpu", core, "/topology/", what)) >> value;
  return value;
}

}  // namespace

std::vector<int> allowed_cores() {
  // A mask of fixed size would fail on machines with more cores than it has bits.
  for (int most = 1024; most <= 1 << 20; most *= 2) {
    const size_t bytes = CPU_ALLOC_SIZE(most);
    cpu_set_t* mask = CPU_ALLOC(most);
    const int result = sched_getaffinity(0, bytes, mask);
    const int error = errno;
    std::vector<int> cores;
    for (int core = 0; result == 0 && core < most; ++core) {
      if (CPU_ISSET_S(core, bytes, mask)) cores.push_back(core);
    }
    CPU_FREE(mask);
    if (result == 0) {
      std::map<int, std::tuple<int, int, int>> place;
      for (const int core : cores) {
        place[core] = {topology(core, "physical_package_id"), topology(core, "core_id"), core};
      }
      std::ranges::sort(cores, {}, [&place](int core) { return place[core]; });
      return cores;
    }
    if (error != EINVAL) throw Error(concat("sched_getaffinity: ", error_text(error)));
  }
  throw Error("sched_getaffinity: the machine has more cores than can be asked for");
}

std::optional<double> cpu_quota() {
  // Inside a container the control group's root is its own group; elsewhere "0::" names the group.
  std::string group;
  std::ifstream membership("/proc/self/cgroup");
  for (std::string line; std::getline(membership, line);) {
    if (line.starts_with("0::")) group = line.substr(3);
  }
  std::optional<double> least;
  for (;;) {
    std::ifstream file("/sys/fs/cgroup" + group + "/cpu.max");
    double quota = 0;
    double period = 0;
    if (file >> quota >> period && period > 0) {
      least = std::min(least.value_or(quota / period), quota / period);
    }
    if (group.empty()) return least;
    group.resize(group.rfind('/'));
  }
}

CoreShare share_cores(const std::vector<int>& cores, std::optional<double> quota, int ranks) {
  const int count = static_cast<int>(cores.size());
  require(ranks >= 1 && count >= 1, "share_cores", "needs ranks and cores, got ", ranks, " ranks, ",
          count, " cores");
  CoreShare share;
  if (ranks > count || (quota && *quota < count)) {
    const int usable = quota ? std::min(count, static_cast<int>(*quota)) : count;
    share.threads = std::max(1, usable / ranks);
    share.cores.resize(ranks);
    return share;
  }
  share.threads = count / ranks;
  for (int rank = 0; rank < ranks; ++rank) {
    const auto begin = cores.begin() + static_cast<int64_t>(count) * rank / ranks;
    const auto end = cores.begin() + static_cast<int64_t>(count) * (rank + 1) / ranks;
    share.cores.emplace_back(begin, end);
  }
  return share;
}

std::string format_cores(const std::vector<int>& cores) {
  std::vector<int> sorted = cores;
  std::ranges::sort(sorted);
  std::string text;
  for (size_t i = 0; i < sorted.size();) {
    size_t last = i;
    while (last + 1 < sorted.size() && sorted[last + 1] == sorted[last] + 1) ++last;
    text += concat(text.empty() ? "" : ",", sorted[i]);
    if (last > i) text += concat("-", sorted[last]);
    i = last + 1;
  }
  return text;
}

}  // namespace trireme
