#include "launcher/agent/system_error.h"

#include <errno.h>
#include <string.h>

#include <system_error>

#include "core/base/error.h"

namespace trireme {

std::string error_text(int error_number) {
  const std::string text = std::generic_category().message(error_number);
  return error_number == EMFILE || error_number == ENFILE ? text + "; raise `ulimit -n`" : text;
}

std::string signal_name(int signal) {
  const char* name = ::sigabbrev_np(signal);
  return name ? concat("SIG", name) : concat("signal ", signal);
}

}  // namespace trireme
