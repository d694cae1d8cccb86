// TCP connections with deadlines.

#pragma once

#include <chrono>
#include <string>

#include "distributed/shared_memory.h"

namespace trireme {

/// Listens at `host` if that is this machine's address, else on all interfaces (a name may stand
/// for a service in front). Port 0 takes any free one. Throws CommError(kSystem): port in use, or
/// no such host.
FileDescriptor listen_tcp(const std::string& host, int port);
int port_of(const FileDescriptor& socket);

/// Tries again until `timeout`, because rank 0 may start late and names may resolve late. Throws
/// CommError(kTimeout) with the last reason.
FileDescriptor connect_tcp(const std::string& host, int port, std::chrono::milliseconds timeout);

/// All of it; false if the other side is gone or `deadline` has passed.
bool send_all(const FileDescriptor& socket, const std::string& bytes,
              std::chrono::steady_clock::time_point deadline);

enum class Heard { kBytes, kNothing, kClosed };
/// Waits until something came, at most until `deadline`, and appends it to `received`.
Heard receive_some(const FileDescriptor& socket, std::string& received,
                   std::chrono::steady_clock::time_point deadline);

}  // namespace trireme
