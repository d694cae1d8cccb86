#include "distributed/store.h"

#include <charconv>

#include "core/base/error.h"
#include "distributed/file_store.h"
#include "distributed/host_name.h"
#include "distributed/tcp_store.h"

namespace trireme {
namespace {

struct HostPort {
  std::string host;
  int port = 0;
};

HostPort parse_host_port(const std::string& text) {
  const size_t colon = text.rfind(':');
  HostPort place{.host = text.substr(0, colon)};
  const char* end = text.data() + text.size();
  bool ok = colon != std::string::npos && !place.host.empty();
  if (ok) {
    const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, place.port);
    ok = error == std::errc{} && stop == end && place.port > 0 && place.port < 65536;
  }
  require(ok, "store", "TRIREME_STORE must be tcp:HOST:PORT or file:DIRECTORY, got 'tcp:", text,
          "'");
  return place;
}

}  // namespace

std::unique_ptr<Store> make_store(const StoreOptions& options) {
  const std::string& place = options.place;
  if (place.starts_with("file:")) {
    require(place.size() > 5 && !options.run_id.empty(), "store",
            "a file store needs a directory and a run id, got '", place, "' and '", options.run_id,
            "'");
    return std::make_unique<FileStore>(place.substr(5) + "/" + options.run_id);
  }
  HostPort at{options.master_addr, options.master_port};
  if (place.starts_with("tcp:")) {
    at = parse_host_port(place.substr(4));
  } else {
    require(place.empty(), "store", "TRIREME_STORE must be tcp:HOST:PORT or file:DIRECTORY, got '",
            place, "'");
    require(!at.host.empty() && at.port > 0, "store",
            "nothing says where rank 0 listens; set MASTER_ADDR and MASTER_PORT, or TRIREME_STORE");
  }
  return std::make_unique<TcpStore>(at.host, at.port, options.rank, options.timeout);
}

void throw_missing_ranks(const Store& store, const std::string& name, int rank,
                         const std::vector<int>& missing, std::chrono::milliseconds timeout) {
  std::string ranks;
  for (const int r : missing) ranks += concat(ranks.empty() ? "" : ", ", r);
  throw CommError(CommError::Kind::kTimeout,
                  concat(store.describe(), ": rank ", rank, " on ", host_name(), " waited ",
                         timeout.count(), " ms for rank", missing.size() == 1 ? " " : "s ", ranks,
                         " in '", name, "'; were they started, and do they see the same store?"));
}

}  // namespace trireme
