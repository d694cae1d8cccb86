// The launcher as subreaper: finding the processes that ranks have left behind.

#pragma once

#include <sys/types.h>

#include <vector>

namespace trireme {

/// From now on, an orphaned descendant becomes a child of this process. Throws Error.
void become_subreaper();

/// This process's direct children, ended ones that were not waited for included. Reads /proc.
std::vector<pid_t> children();

}  // namespace trireme
