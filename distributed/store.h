// Store: where the ranks of one job find each other before they can communicate.
//
// A few small texts under names. Two kinds: a directory that all nodes see (file_store.h), and a
// server in rank 0's process (tcp_store.h). make_store chooses by setting TRIREME_STORE:
//   ""               TCP at MASTER_ADDR:MASTER_PORT
//   tcp:HOST:PORT    TCP there; rank 0 must run on HOST
//   file:DIRECTORY   files below DIRECTORY/<run id>
//
// Every wait has a deadline. Errors are CommError: kTimeout names the key or the ranks that never
// came, kPeerLost a server that is gone, kSystem a port in use or a directory that cannot be
// written, kMismatch another version or a rank that is there twice.
//
// Threads: one at a time per object, except where said. Ranks may be threads of one process, each
// with its own object.

#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace trireme {

class Store {
 public:
  virtual ~Store() = default;  // never throws, waits for nobody

  /// "tcp store 10.0.0.1:29500", "file store /shared/meet/a1b2".
  virtual std::string describe() const = 0;

  virtual void set(const std::string& key, const std::string& value) = 0;
  /// The value, or nothing while nobody has set it.
  virtual std::optional<std::string> find(const std::string& key) = 0;
  /// Waits until somebody has set it.
  virtual std::string get(const std::string& key, std::chrono::milliseconds timeout) = 0;
  void wait(const std::string& key, std::chrono::milliseconds timeout) { get(key, timeout); }
  /// Adds to a counter, which starts at 0, and returns the sum.
  virtual int64_t add(const std::string& key, int64_t delta) = 0;

  /// Collective: every rank's `mine`, in rank order, on every rank. Each name is used once.
  virtual std::vector<std::string> gather(const std::string& name, int rank, int world_size,
                                          const std::string& mine,
                                          std::chrono::milliseconds timeout) = 0;

  /// From any thread, also while another one waits in gather(): every rank's gather, now and later,
  /// throws CommError(kAborted) with `reason`.
  virtual void abort(const std::string& reason) noexcept = 0;
  /// From any thread: this object's own gather gives up soon.
  virtual void stop() noexcept = 0;
};

struct StoreOptions {
  std::string place = {};        // as TRIREME_STORE; "": TCP at master_addr:master_port
  std::string master_addr = {};  // of RankEnv
  int master_port = 0;
  std::string run_id = {};  // keeps runs apart in a directory
  int rank = 0;
  std::chrono::milliseconds timeout{300'000};  // for reaching rank 0's server
};

/// Throws InvalidArgument for a place that cannot be read, or where nothing says where rank 0
/// listens.
std::unique_ptr<Store> make_store(const StoreOptions& options);

/// CommError(kTimeout): "tcp store h:1: rank 1 on node-a waited 5000 ms for ranks 2, 3 in
/// 'gather'; ...".
[[noreturn]] void throw_missing_ranks(const Store& store, const std::string& name, int rank,
                                      const std::vector<int>& missing,
                                      std::chrono::milliseconds timeout);

}  // namespace trireme
