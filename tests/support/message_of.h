// The text of the error a call throws, for tests of messages.

#pragma once

#include <string>

#include "core/base/error.h"

namespace trireme::testing {

/// The message of the exception of type E that `fn` throws; a text that says so if it throws none.
/// Another exception passes, and fails the test.
template <typename E = InvalidArgument, typename Fn>
std::string message_of(const Fn& fn) {
  try {
    fn();
  } catch (const E& error) {
    return error.what();
  }
  return "nothing was thrown";
}

}  // namespace trireme::testing
