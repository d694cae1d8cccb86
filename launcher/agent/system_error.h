// What the operating system's error numbers and signals are called.

#pragma once

#include <string>

namespace trireme {

/// "No space left on device"; with a hint where there is one way out.
std::string error_text(int error_number);

/// "SIGSEGV"; "signal 42" for one without a name.
std::string signal_name(int signal);

}  // namespace trireme
