// `trireme doctor`: what this machine has for Trireme, and what to do about what is missing.

#pragma once

#include <span>
#include <string>

namespace trireme {

/// `words` are those behind "doctor". Prints to standard output. Leaves with kExitOk, or with
/// kExitDevice if GPUs were asked for (--device cuda) and ranks could not compute on them.
int doctor_command(std::span<const std::string> words);

}  // namespace trireme
