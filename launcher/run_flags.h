// The flags of `trireme run`.

#pragma once

#include <span>
#include <string>

#include "launcher/run_command.h"

namespace trireme {

enum class RunFlags { kReady, kHelpShown };

/// Fills `options` from the words after `trireme run`, or prints the help. Throws InvalidArgument.
RunFlags parse_run_flags(std::span<const std::string> words, RunOptions& options);

}  // namespace trireme
