// Exit codes of Trireme's programs. One table for `trireme`, `trireme-train` and the Kubernetes
// pod failure policy; docs/exit_codes.md explains each for users.

#pragma once

namespace trireme {

enum ExitCode : int {
  kExitOk = 0,
  kExitFailure = 1,       // unclassified failure of a rank
  kExitUsage = 64,        // wrong flag or argument
  kExitData = 65,         // bad data file, corrupt or mismatching checkpoint
  kExitUnavailable = 69,  // a peer is lost, did not arrive, or holds a different model
  kExitInternal = 70,     // a bug in Trireme
  kExitOs = 71,           // the operating system refused: memory, fork, limits, disk full
  kExitDevice = 72,       // a GPU: no driver, an old one, no such device, or a fault on it
  kExitStopped = 75,      // stopped on request after writing a checkpoint; run again to continue
  kExitConfig = 78,       // contradicting environment (two sources disagree about rank or size)
  kExitTimeout = 124,     // `trireme run --timeout` was up
  kExitCannotExec = 126,  // program found but not executable
  kExitNotFound = 127,    // program not found
  kExitSignalBase = 128,  // + n: a rank was ended by signal n
};

}  // namespace trireme
