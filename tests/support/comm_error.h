// The text of the error that a collective ends with, for tests of failures between ranks.

#pragma once

#include <string>

#include <gtest/gtest.h>

#include "core/base/error.h"

namespace trireme::testing {

/// Runs fn, which must end with a CommError of this kind, and returns its text.
template <typename Fn>
std::string comm_error(CommError::Kind kind, const Fn& fn) {
  try {
    fn();
  } catch (const CommError& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "no CommError";
  return "";
}

}  // namespace trireme::testing
