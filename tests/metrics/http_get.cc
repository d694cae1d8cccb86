#include "tests/metrics/http_get.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdlib>

namespace trireme {

HttpAnswer http_get(int port, const std::string& path) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval limit{10, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string answer;
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    const std::string request =
        "GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    if (::send(fd, request.data(), request.size(), MSG_NOSIGNAL) > 0) {
      char part[4096];
      for (ssize_t got; (got = ::recv(fd, part, sizeof part, 0)) > 0;) {
        answer.append(part, static_cast<size_t>(got));
      }
    }
  }
  ::close(fd);
  const size_t body = answer.find("\r\n\r\n");
  if (answer.size() < 12 || body == answer.npos) return {};
  return {std::atoi(answer.c_str() + 9), answer.substr(body + 4)};
}

std::string sample_of(const std::string& exposition, const std::string& series) {
  const std::string text = "\n" + exposition;
  const size_t start = text.find("\n" + series + " ");
  if (start == text.npos) return "";
  const size_t value = start + 1 + series.size() + 1;
  return text.substr(value, text.find('\n', value) - value);
}

}  // namespace trireme
