// Which flag a wrong file came from.

#pragma once

#include "core/base/error.h"

namespace trireme {

/// Returns `read()`, which reads what the user named with `flag`. An error about a file gets the
/// flag in front: `--data: open_tokens: nowhere does not exist`.
template <typename Fn>
auto read_named_input(const char* flag, const Fn& read) {
  try {
    return read();
  } catch (const DataError& error) {
    throw DataError(concat(flag, ": ", error.what()));
  } catch (const IoError& error) {
    throw IoError(concat(flag, ": ", error.what()));
  }
}

}  // namespace trireme
