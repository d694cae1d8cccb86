#include "launcher/agent/system_error.h"

#include <string.h>

#include <system_error>

#include "core/base/error.h"

namespace trireme {

std::string error_text(int error_number) { return std::generic_category().message(error_number); }

std::string signal_name(int signal) {
  const char* name = ::sigabbrev_np(signal);
  return name ? concat("SIG", name) : concat("signal ", signal);
}

}  // namespace trireme
