// A process that can be recognised later: its id together with its start time, because the system
// gives ids again.

#pragma once

#include <sys/types.h>

#include <cstdint>

namespace trireme {

struct ProcessIdentity {
  pid_t pid = 0;
  uint64_t start_time = 0;  // clock ticks since boot

  bool operator==(const ProcessIdentity&) const = default;
};

ProcessIdentity this_process();

/// False once the process has ended, also while it still waits for its parent (a zombie). True if
/// the system cannot say, for example because this process may open no more files: a deadline
/// passes in any case. Reads /proc, about 10 us.
bool is_alive(const ProcessIdentity& process);

}  // namespace trireme
