#include "distributed/exit_code_of.h"

#include <chrono>
#include <cstdlib>
#include <new>
#include <system_error>
#include <thread>

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
  if (is(static_cast<const CudaError*>(nullptr))) return kExitDevice;
  if (is(static_cast<const InternalError*>(nullptr))) return kExitInternal;
  return kExitFailure;
}

ExitCode leave_with_code_of(const std::exception& error) {
  constexpr std::chrono::seconds kHeadStart{1};
  const ExitCode code = exit_code_of(error);
  const bool has_launcher = std::getenv("TRIREME_RANK") != nullptr;
  if (code == kExitUnavailable && !has_launcher) std::this_thread::sleep_for(kHeadStart);
  return code;
}

}  // namespace trireme
