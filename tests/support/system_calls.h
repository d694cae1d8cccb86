// The calls that change files, between a test program and the system: watched, failing, or the last
// one that a process makes. Linking system_calls.cc into a test puts it there; without orders
// everything works as always.

#pragma once

#include <string>
#include <vector>

namespace trireme::testing {

/// Kills this process (SIGKILL) instead of its call number `calls`, counted from 0, of mkdir,
/// write, fsync, rename, renameat2 and unlinkat.
void die_at_call(int calls);

/// What a file system without RENAME_EXCHANGE does.
void refuse_exchange(bool refuse);

/// The paths of all files and directories synced since the last time.
std::vector<std::string> take_synced();

}  // namespace trireme::testing
