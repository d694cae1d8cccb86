// Unix sockets that keep message boundaries and can carry a file descriptor.

#pragma once

#include <chrono>
#include <span>
#include <string>

#include "distributed/process_identity.h"
#include "distributed/shared_memory.h"

namespace trireme {

/// Listens on `name` in the abstract name space. Throws CommError(kSystem) if the name is in use,
/// naming the process that uses it.
FileDescriptor listen_local(const std::string& name);
/// A connection from a process of the same user; invalid if none came within `limit`.
FileDescriptor accept_local(const FileDescriptor& listener, std::chrono::milliseconds limit);
/// Waits until a connection is there, or a message on any of `links`; at most `limit`.
void wait_for_news(const FileDescriptor& listener, std::span<const FileDescriptor> links,
                   std::chrono::milliseconds limit);
/// A connection to `name`; invalid if nobody listens there.
FileDescriptor connect_local(const std::string& name);

/// The process at the other end, as this one counts processes; 0 if it cannot see it.
pid_t peer_process_of(const FileDescriptor& link);

/// What a message may carry.
struct LocalMessage {
  std::string text;
  FileDescriptor attached;
};

/// False if the other side is gone.
bool send_message(const FileDescriptor& link, const std::string& text,
                  const FileDescriptor* attached = nullptr);
enum class Received { kMessage, kNothing, kClosed };
/// Waits at most `limit`. Requires messages of at most 1,500 bytes.
Received receive_message(const FileDescriptor& link, std::chrono::milliseconds limit,
                         LocalMessage& message);

}  // namespace trireme
