#include "core/base/error.h"

#include <cerrno>
#include <cstring>

namespace trireme {

void fail_to_read(const char* op, const std::string& path, int error) {
  const std::string message = concat(op, ": cannot read ", path, ", ", std::strerror(error));
  switch (error) {
    case ENOENT:
    case ENOTDIR:
    case EISDIR:
    case EACCES:
    case ENAMETOOLONG:
    case ELOOP:
      throw DataError(message);
    default:
      throw IoError(message);
  }
}

void detail::assert_failed(const char* expression, const char* file, int line) {
  throw InternalError(concat("internal error: ", expression, " does not hold at ", file, ":", line,
                             "; this is a bug in Trireme, please report it"));
}

}  // namespace trireme
