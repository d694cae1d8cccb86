// Names for runs.

#pragma once

#include <string>

namespace trireme {

/// A new name such as "20261124-093012-3f9a1c": local time and 24 random bits. It names the run
/// directory and the shared memory of the run.
std::string make_run_id();

}  // namespace trireme
