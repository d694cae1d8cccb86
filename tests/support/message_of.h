// The text of the error a call throws, for tests of messages.

#pragma once

#include <exception>
#include <string>

#include "core/base/error.h"

namespace trireme::testing {

/// The message of the exception of type E that `fn` throws; a text that says so if it throws none
/// or another one.
template <typename E = InvalidArgument, typename Fn>
std::string message_of(const Fn& fn) {
  try {
    fn();
  } catch (const E& error) {
    return error.what();
  } catch (const std::exception& error) {
    return std::string("another exception: ") + error.what();
  }
  return "nothing was thrown";
}

}  // namespace trireme::testing
