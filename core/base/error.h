// Errors: one exception tree, and the check that produces its messages.
//
// A message reads `op: what must hold, got values`, then optionally `; hint`. Lower case, no full
// stop. Library code throws and never calls exit; only a program's main turns an error into text
// and an exit code (core/base/exit_code.h).

#pragma once

#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

namespace trireme {

/// Root of everything Trireme throws.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The caller passed something that cannot work: a shape, dtype, index, flag or state.
class InvalidArgument : public Error {
 public:
  using Error::Error;
};

/// A file or the operating system refused. The message names the path and the reason.
class IoError : public Error {
 public:
  using Error::Error;
};

/// The file that somebody named is not what it should be: missing, a directory, not ours to read,
/// or of wrong content (corrupt checkpoint, bad magic, token out of range).
class DataError : public IoError {
 public:
  using IoError::IoError;
};

/// Memory for a tensor could not be had. The message says how much was asked for and is in use.
class OutOfMemory : public Error {
 public:
  using Error::Error;
};

/// A CUDA call failed, or CUDA was asked for where there is none.
class CudaError : public Error {
 public:
  using Error::Error;
};

/// A collective could not complete. `kind` says whose fault it may be.
class CommError : public Error {
 public:
  enum class Kind {
    kPeerLost,  // a peer's process is gone
    kTimeout,   // the deadline passed; the message says who had arrived
    kAborted,   // this communicator was aborted, here or by a peer
    kMismatch,  // ranks called different collectives, or hold different models
    kSystem,    // the transport failed (shared memory, MPI)
  };
  CommError(Kind kind, const std::string& message) : Error(message), kind_(kind) {}
  Kind kind() const { return kind_; }

 private:
  Kind kind_;
};

/// Trireme itself is at fault: a condition it must get right does not hold.
class InternalError : public Error {
 public:
  using Error::Error;
};

/// Streams its parts into one string: concat("rank ", 3, " of ", 4).
template <typename... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

/// Throws InvalidArgument `op: parts...`. Out of line so that checks stay small where they are
/// used.
template <typename... Parts>
[[noreturn, gnu::noinline, gnu::cold]] void fail(const char* op, const Parts&... parts) {
  throw InvalidArgument(concat(op, ": ", parts...));
}

/// Checks something the caller must get right. `parts` are only formatted when it fails.
template <typename... Parts>
inline void require(bool holds, const char* op, const Parts&... parts) {
  if (!holds) [[unlikely]] {
    fail(op, parts...);
  }
}

/// Throws `op: cannot read PATH, reason` for the errno `error`: a DataError where another path
/// would help (missing, a directory, no permission), else an IoError.
[[noreturn]] void fail_to_read(const char* op, const std::string& path, int error);

namespace detail {
[[noreturn]] void assert_failed(const char* expression, const char* file, int line);
}

}  // namespace trireme

/// Checks something Trireme itself must get right; a failure is a bug in Trireme. Always on.
#define TRIREME_ASSERT(expression) \
  ((expression) ? void(0) : ::trireme::detail::assert_failed(#expression, __FILE__, __LINE__))
