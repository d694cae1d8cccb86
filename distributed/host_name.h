// The name of this machine, for messages.

#pragma once

#include <string>

namespace trireme {

std::string host_name();

}  // namespace trireme
