#include "core/base/error.h"

namespace trireme::detail {

void assert_failed(const char* expression, const char* file, int line) {
  throw InternalError(concat("internal error: ", expression, " does not hold at ", file, ":", line,
                             "; this is a bug in Trireme, please report it"));
}

}  // namespace trireme::detail
