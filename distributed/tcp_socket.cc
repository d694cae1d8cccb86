#include "distributed/tcp_socket.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <thread>

#include "core/base/error.h"
#include "distributed/host_name.h"

namespace trireme {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;
using Addresses = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

constexpr milliseconds kFirstNap{10}, kLongestNap{500};

// Null with the reason in `why` where the name is unknown. An empty host is every interface.
Addresses resolve(const std::string& host, int port, std::string& why) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | (host.empty() ? AI_PASSIVE : 0);
  addrinfo* found = nullptr;
  const int code = getaddrinfo(host.empty() ? nullptr : host.c_str(), std::to_string(port).c_str(),
                               &hints, &found);
  if (code != 0) why = concat("cannot resolve ", host, ", ", gai_strerror(code));
  return {code == 0 ? found : nullptr, freeaddrinfo};
}

FileDescriptor make_socket(const addrinfo& address) {
  return FileDescriptor(socket(
      address.ai_family, address.ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address.ai_protocol));
}

int milliseconds_until(Clock::time_point deadline) {
  const auto left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now()).count();
  return static_cast<int>(std::clamp<int64_t>(left, 0, 1 << 30));
}

// True once `events` (or an end) are there.
bool wait_for(const FileDescriptor& socket, short events, Clock::time_point deadline) {
  while (true) {
    pollfd entry{.fd = socket.get(), .events = events, .revents = 0};
    const int n = poll(&entry, 1, milliseconds_until(deadline));
    if (n > 0) return true;
    if (n == 0 || errno != EINTR) return false;
  }
}

// Invalid with errno set where nobody listens on this address.
FileDescriptor listen_on(const addrinfo& address) {
  FileDescriptor socket = make_socket(address);
  if (!socket) return {};
  const int on = 1;
  setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(socket.get(), address.ai_addr, address.ai_addrlen) != 0) return {};
  if (listen(socket.get(), SOMAXCONN) != 0) return {};
  return socket;
}

FileDescriptor connect_once(const addrinfo& address, Clock::time_point deadline, std::string& why) {
  FileDescriptor socket = make_socket(address);
  int error = socket ? 0 : errno;
  if (socket && connect(socket.get(), address.ai_addr, address.ai_addrlen) != 0) {
    error = errno;
    if (error == EINPROGRESS) {
      error = ETIMEDOUT;
      socklen_t length = sizeof error;
      if (wait_for(socket, POLLOUT, deadline)) {
        getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &length);
      }
    }
  }
  if (error != 0) {
    why = std::strerror(error);
    return {};
  }
  const int on = 1;
  setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return socket;
}

}  // namespace

FileDescriptor listen_tcp(const std::string& host, int port) {
  std::string why;
  for (const std::string& name : {host, std::string()}) {
    const Addresses addresses = resolve(name, port, why);
    for (const addrinfo* a = addresses.get(); a; a = a->ai_next) {
      FileDescriptor socket = listen_on(*a);
      if (socket) return socket;
      why = std::strerror(errno);
      if (errno != EADDRINUSE) continue;
      throw CommError(
          CommError::Kind::kSystem,
          concat("tcp store: rank 0 on ", host_name(), " cannot listen at ", host, ":", port,
                 ", the port is in use; end what uses it, or choose another "
                 "with MASTER_PORT or TRIREME_STORE=tcp:HOST:PORT"));
    }
  }
  throw CommError(CommError::Kind::kSystem,
                  concat("tcp store: rank 0 on ", host_name(), " cannot listen at ", host, ":",
                         port, ", ", why));
}

int port_of(const FileDescriptor& socket) {
  sockaddr_storage address = {};
  socklen_t length = sizeof address;
  if (getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) return 0;
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(address).sin6_port
                                             : reinterpret_cast<sockaddr_in&>(address).sin_port);
}

FileDescriptor connect_tcp(const std::string& host, int port, milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  std::string why;
  for (milliseconds nap = kFirstNap;; nap = std::min(nap * 2, kLongestNap)) {
    const Addresses addresses = resolve(host, port, why);
    for (const addrinfo* a = addresses.get(); a; a = a->ai_next) {
      FileDescriptor socket = connect_once(*a, deadline, why);
      if (socket) return socket;
    }
    if (Clock::now() + nap > deadline) break;
    std::this_thread::sleep_for(nap);
  }
  throw CommError(CommError::Kind::kTimeout,
                  concat("tcp store: no answer from rank 0 at ", host, ":", port, " in ",
                         timeout.count(), " ms, ", why,
                         "; rank 0 must run there and be reachable "
                         "from ",
                         host_name()));
}

bool send_all(const FileDescriptor& socket, const std::string& bytes, Clock::time_point deadline) {
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t n = send(socket.get(), bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
    if (n > 0) {
      done += static_cast<size_t>(n);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      if (!wait_for(socket, POLLOUT, deadline)) return false;
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

Heard receive_some(const FileDescriptor& socket, std::string& received,
                   Clock::time_point deadline) {
  char buffer[65536];
  while (true) {
    const ssize_t n = recv(socket.get(), buffer, sizeof buffer, 0);
    if (n > 0) {
      received.append(buffer, static_cast<size_t>(n));
      return Heard::kBytes;
    }
    if (n == 0) return Heard::kClosed;
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) return Heard::kClosed;
    if (!wait_for(socket, POLLIN, deadline)) return Heard::kNothing;
  }
}

}  // namespace trireme
