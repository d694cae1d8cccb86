#include "distributed/exit_code_of.h"

#include <new>
#include <system_error>

#include "core/base/error.h"
#include "distributed/env.h"

namespace trireme {

ExitCode exit_code_of(const std::exception& error) {
  const auto is = [&error](auto* kind) { return dynamic_cast<decltype(kind)>(&error) != nullptr; };
  if (const auto* comm = dynamic_cast<const CommError*>(&error)) {
    return comm->kind() == CommError::Kind::kSystem ? kExitOs : kExitUnavailable;
  }
  if (is(static_cast<const EnvironmentError*>(nullptr))) return kExitConfig;
  if (is(static_cast<const InvalidArgument*>(nullptr))) return kExitUsage;
  if (is(static_cast<const DataError*>(nullptr))) return kExitData;
  if (is(static_cast<const IoError*>(nullptr))) return kExitOs;
  if (is(static_cast<const OutOfMemory*>(nullptr))) return kExitOs;
  if (is(static_cast<const std::bad_alloc*>(nullptr))) return kExitOs;
  if (is(static_cast<const std::system_error*>(nullptr))) return kExitOs;
  if (is(static_cast<const InternalError*>(nullptr))) return kExitInternal;
  return kExitFailure;
}

}  // namespace trireme
