// A store that rank 0's process serves over TCP. Values and waiting cost one message each way; the
// server ends with rank 0's object, so rank 0 keeps it as long as anyone uses the store.

#pragma once

#include <atomic>

#include "distributed/store.h"
#include "distributed/tcp_store_server.h"

namespace trireme {

class TcpStore final : public Store {
 public:
  /// Rank 0 starts the server at `host`:`port` (0: any free port, see port()); every rank connects,
  /// trying again until `timeout`. Throws CommError, see store.h; kMismatch also where something
  /// else listens there.
  TcpStore(const std::string& host, int port, int rank, std::chrono::milliseconds timeout);

  int port() const { return port_; }
  std::string describe() const override;
  void set(const std::string& key, const std::string& value) override;
  std::optional<std::string> find(const std::string& key) override;
  std::string get(const std::string& key, std::chrono::milliseconds timeout) override;
  int64_t add(const std::string& key, int64_t delta) override;
  std::vector<std::string> gather(const std::string& name, int rank, int world_size,
                                  const std::string& mine,
                                  std::chrono::milliseconds timeout) override;
  void abort(const std::string& reason) noexcept override;
  void stop() noexcept override { stopped_ = true; }

 private:
  void connect();
  /// The answer's fields without the first; nothing if it did not come in time, or is kNothing.
  std::optional<StoreFields> ask(const StoreFields& request, std::chrono::milliseconds timeout);
  [[noreturn]] void throw_late(const std::string& what, std::chrono::milliseconds timeout) const;

  const std::string host_;
  const int rank_;
  const std::chrono::milliseconds timeout_;
  std::unique_ptr<TcpStoreServer> server_;  // rank 0's
  int port_;
  FileDescriptor socket_;  // invalid after a request that was not answered in time
  std::string received_;
  std::atomic<bool> stopped_{false};
};

}  // namespace trireme
