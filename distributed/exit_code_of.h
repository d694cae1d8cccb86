// From an exception to a program's exit code: the one place that knows both.

#pragma once

#include <exception>

#include "core/base/exit_code.h"

namespace trireme {

/// EnvironmentError 78, any other InvalidArgument 64, DataError 65, another IoError 71, CommError
/// 69 (71 where the transport failed), a failed TRIREME_ASSERT 70, no memory 71, anything else 1.
ExitCode exit_code_of(const std::exception& error);

/// The same, for the last line of a rank's main. mpirun and srun end a job with the code of the
/// first rank that leaves with another than 0, and a rank that lost its peer (69) is often quicker
/// than the one to blame: without `trireme run`, which knows better, it waits a second first.
ExitCode leave_with_code_of(const std::exception& error);

}  // namespace trireme
