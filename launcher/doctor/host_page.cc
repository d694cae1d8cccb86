#include <sched.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "core/base/config.h"
#include "core/base/error.h"
#include "launcher/agent/process.h"
#include "launcher/doctor/report.h"

namespace trireme {
namespace {

/// The value behind "key : value" in a file of /proc; "" where there is none.
std::string proc_value(const char* path, const std::string& key) {
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos || line.compare(0, key.size(), key) != 0) continue;
    const size_t value = line.find_first_not_of(" \t", colon + 1);
    return value == std::string::npos ? "" : line.substr(value);
  }
  return "";
}

std::string gib(double bytes) {
  std::ostringstream out;
  out.precision(1);
  out << std::fixed << bytes / (1 << 30) << " GiB";
  return out.str();
}

/// A "1234 kB" of /proc/meminfo.
std::string memory_text(const char* key) {
  return gib(std::atof(proc_value("/proc/meminfo", key).c_str()) * 1024);
}

Finding processor() {
  const std::string flags = proc_value("/proc/cpuinfo", "flags") + " ";
  std::string extensions;
  for (const char* name : {"avx2", "avx512f", "avx512_bf16", "amx_bf16"}) {
    if (flags.find(concat(" ", name, " ")) != std::string::npos) extensions += concat(" ", name);
  }
  Finding finding{"processor", proc_value("/proc/cpuinfo", "model name") + "," + extensions, "",
                  false};
  if (extensions.find("avx2") == std::string::npos) {
    finding.fix = "no AVX2: build with -DTRIREME_ARCH=x86-64-v2";
  }
  return finding;
}

Finding cores() {
  cpu_set_t set;
  const int ours = ::sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  return {"cores", concat(ours, " of ", ::sysconf(_SC_NPROCESSORS_ONLN), " for this process"), "",
          false};
}

Finding shared_memory() {
  struct statvfs fs {};
  Finding finding{"/dev/shm", "", "", false};
  if (::statvfs("/dev/shm", &fs) != 0) {
    finding.text = "missing";
    finding.fix = "mount a tmpfs there; without it no metrics are served";
    return finding;
  }
  const double unit = static_cast<double>(fs.f_frsize);
  finding.text = concat(gib(unit * static_cast<double>(fs.f_bavail)), " free of ",
                        gib(unit * static_cast<double>(fs.f_blocks)));
  if (unit * static_cast<double>(fs.f_bavail) < 1 << 20) {
    finding.fix = "remove what fills it; without 1 MiB no metrics are served";
  }
  return finding;
}

Finding locked_memory() {
  rlimit limit{};
  ::getrlimit(RLIMIT_MEMLOCK, &limit);
  const bool is_unlimited = limit.rlim_cur == RLIM_INFINITY;
  return {"ulimit -l", is_unlimited ? "unlimited" : concat(limit.rlim_cur / 1024, " KiB"), "",
          false};
}

Finding mpi() {
  Finding finding{"mpirun", "", "", false};
  try {
    finding.text = find_program("mpirun");
  } catch (const Error&) {
    finding.text = "not found";
    if (kHasMpi) finding.fix = "install openmpi-bin; `trireme run` needs no MPI on one node";
  }
  return finding;
}

}  // namespace

Page host_page() {
  const Finding memory{"memory",
                       concat(memory_text("MemAvailable"), " free of ", memory_text("MemTotal")),
                       "", false};
  return {"Host", {processor(), cores(), memory, shared_memory(), locked_memory(), mpi()}};
}

}  // namespace trireme
