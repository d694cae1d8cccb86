// `trireme run`: starts ranks on this node, watches them, and explains their failure.

#pragma once

#include <chrono>
#include <span>
#include <string>
#include <vector>

namespace trireme {

struct RunOptions {
  int ranks = 1;
  std::string device;  // default: TRIREME_DEVICE
  std::string log_dir = "runs";
  std::string run_id;                       // "": a new one
  std::chrono::milliseconds timeout{0};     // 0: none
  std::chrono::milliseconds grace{30'000};  // from a stop signal to SIGKILL
  std::string bind = "cores";
  std::string metrics_port;  // a number, 0: any free one, or "off"
  bool is_dry_run = false;
  std::vector<std::string> command;
};

/// words: what follows `trireme run`. Prints help or runs; returns the exit code. Throws
/// InvalidArgument for wrong flags, StartError and IoError if the ranks cannot be started.
int run_command(std::span<const std::string> words);

}  // namespace trireme
