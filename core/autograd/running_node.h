// Which op's formula runs on this thread, for error messages.

#pragma once

namespace trireme {

/// Name of the op whose formula is running, or "backward" outside one.
const char* running_node_name();

}  // namespace trireme
