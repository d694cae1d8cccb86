#include "launcher/agent/run_claim.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <filesystem>

#include "core/base/error.h"
#include "core/base/shm_name.h"
#include "launcher/agent/system_error.h"

namespace trireme {

RunClaim::RunClaim(const std::string& run_id)
    : socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const std::string name = shm_name_prefix(run_id) + "launcher";
  TRIREME_ASSERT(name.size() + 1 <= sizeof address.sun_path);
  std::memcpy(address.sun_path + 1, name.data(), name.size());  // a leading 0: abstract
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  if (::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), length) == 0) return;
  require(errno != EADDRINUSE, "--run-id", "a run of this id must not be running, got ", run_id,
          "; wait for it to end, or leave out --run-id for a new one");
  throw Error(concat("run claim: ", error_text(errno)));
}

std::vector<std::string> sweep_shared_memory(const std::string& run_id) {
  namespace fs = std::filesystem;
  const std::string prefix = shm_name_prefix(run_id);
  std::vector<std::string> removed;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator("/dev/shm", ignored)) {
    const std::string name = entry.path().filename();
    if (name.starts_with(prefix) && fs::remove(entry.path(), ignored)) removed.push_back(name);
  }
  return removed;
}

int find_free_port() {
  const UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(socket.get(), generic, length) != 0 ||
      ::getsockname(socket.get(), generic, &length) != 0) {
    throw Error(concat("free port: ", error_text(errno)));
  }
  return ntohs(address.sin_port);
}

}  // namespace trireme
