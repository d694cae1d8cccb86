// The text of the error a call throws, for tests of messages.

#pragma once

#include <functional>
#include <string>

#include "core/base/error.h"

namespace trireme::testing {

/// What `call` throws as an InvalidArgument, or "nothing was thrown".
inline std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const InvalidArgument& error) {
    return error.what();
  }
  return "nothing was thrown";
}

}  // namespace trireme::testing
