#include "distributed/local_socket.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "core/base/error.h"

namespace trireme {
namespace {

constexpr size_t kMostBytes = 1500;

[[noreturn]] void throw_system(const char* what, int error) {
  throw CommError(CommError::Kind::kSystem,
                  concat("local socket: ", what, " failed, ", std::strerror(error)));
}

struct Name {
  sockaddr_un address{};
  socklen_t length = 0;

  explicit Name(const std::string& name) {
    address.sun_family = AF_UNIX;
    // A leading zero byte selects the abstract name space.
    const size_t n = std::min(name.size(), sizeof(address.sun_path) - 1);
    std::memcpy(address.sun_path + 1, name.data(), n);
    length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + n);
  }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address); }
};

FileDescriptor make_socket() {
  FileDescriptor socket_fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!socket_fd) throw_system("socket", errno);
  return socket_fd;
}

ucred credentials_of(const FileDescriptor& link) {
  ucred who{};
  socklen_t size = sizeof(who);
  if (getsockopt(link.get(), SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) who.uid = -1;
  return who;
}

bool wait_readable(std::span<pollfd> entries, std::chrono::milliseconds limit) {
  const int timeout_ms = static_cast<int>(std::max<int64_t>(0, limit.count()));
  return poll(entries.data(), entries.size(), timeout_ms) > 0;
}

bool wait_readable(const FileDescriptor& fd, std::chrono::milliseconds limit) {
  pollfd entry{fd.get(), POLLIN, 0};
  return wait_readable({&entry, 1}, limit);
}

}  // namespace

FileDescriptor listen_local(const std::string& name) {
  FileDescriptor listener = make_socket();
  const Name where(name);
  if (bind(listener.get(), where.get(), where.length) != 0) {
    if (errno != EADDRINUSE) throw_system("bind", errno);
    const FileDescriptor other = connect_local(name);
    throw CommError(CommError::Kind::kSystem,
                    concat("shm: the name '", name, "' is in use by process ",
                           other ? std::to_string(peer_process_of(other)) : "unknown",
                           "; another run with this id is starting, so give this one its own: set "
                           "TRIREME_RUN_ID, or trireme run --run-id"));
  }
  if (listen(listener.get(), SOMAXCONN) != 0) throw_system("listen", errno);
  return listener;
}

FileDescriptor accept_local(const FileDescriptor& listener, std::chrono::milliseconds limit) {
  if (!wait_readable(listener, limit)) return {};
  FileDescriptor link(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (link && credentials_of(link).uid != getuid()) return {};
  return link;
}

void wait_for_news(const FileDescriptor& listener, std::span<const FileDescriptor> links,
                   std::chrono::milliseconds limit) {
  std::vector<pollfd> entries = {{listener.get(), POLLIN, 0}};
  for (const FileDescriptor& link : links) entries.push_back({link.get(), POLLIN, 0});
  wait_readable(entries, limit);
}

FileDescriptor connect_local(const std::string& name) {
  FileDescriptor link = make_socket();
  const Name where(name);
  if (connect(link.get(), where.get(), where.length) != 0) return {};
  return credentials_of(link).uid == getuid() ? std::move(link) : FileDescriptor();
}

pid_t peer_process_of(const FileDescriptor& link) { return credentials_of(link).pid; }

bool send_message(const FileDescriptor& link, const std::string& text,
                  const FileDescriptor* attached) {
  const std::string part = text.substr(0, kMostBytes);
  iovec bytes{const_cast<char*>(part.data()), part.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  if (attached) {
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    const int fd = attached->get();
    std::memcpy(CMSG_DATA(header), &fd, sizeof(fd));
  }
  return sendmsg(link.get(), &message, MSG_NOSIGNAL) >= 0;
}

Received receive_message(const FileDescriptor& link, std::chrono::milliseconds limit,
                         LocalMessage& out) {
  if (!wait_readable(link, limit)) return Received::kNothing;
  char text[kMostBytes];
  iovec bytes{text, sizeof(text)};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  const ssize_t n = recvmsg(link.get(), &message, MSG_CMSG_CLOEXEC);
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) return Received::kNothing;
  if (n <= 0) return Received::kClosed;
  out.text.assign(text, static_cast<size_t>(n));
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header && header->cmsg_type == SCM_RIGHTS) {
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(header), sizeof(fd));
    out.attached = FileDescriptor(fd);
  }
  return Received::kMessage;
}

}  // namespace trireme
