// The server of a TCP store: a thread of rank 0's process that keeps the values and answers.
//
// One thread serves all connections; a client that must wait (get, gather) is answered when what it
// waits for is there. A gather is forgotten once everybody has it.

#pragma once

#include <map>
#include <string>
#include <thread>
#include <vector>

#include "distributed/shared_memory.h"
#include "distributed/store_message.h"

namespace trireme {

class TcpStoreServer {
 public:
  /// Throws as listen_tcp.
  TcpStoreServer(const std::string& host, int port);
  /// Closes all connections; clients that still wait are told so by the end of theirs.
  ~TcpStoreServer();
  TcpStoreServer(const TcpStoreServer&) = delete;

  int port() const { return port_; }

 private:
  struct Client {
    FileDescriptor socket;
    std::string received;
    bool greeted = false;
    std::string awaited_key;  // "" unless it waits in get
  };
  struct Gather {
    std::map<int64_t, std::string> values;  // by rank
    std::map<int64_t, int> waiting;         // rank -> client
  };

  void run();
  void accept_clients();
  /// False if the client is to be dropped.
  bool serve(int id);
  StoreFields answer(int id, const StoreFields& request);  // empty: later
  StoreFields greet(Client& client, const StoreFields& request);
  StoreFields gather(int id, const StoreFields& request);
  StoreFields set(const std::string& key, const std::string& value);
  StoreFields abort(const std::string& reason);
  StoreFields missing(const StoreFields& request) const;
  void send(int id, const StoreFields& fields);
  void drop(int id);

  FileDescriptor listener_;
  const int port_;
  FileDescriptor stop_;  // an eventfd

  // Of the thread.
  std::map<int, Client> clients_;
  int next_id_ = 0;
  std::map<std::string, std::string> values_;
  std::map<std::string, Gather> gathers_;
  std::string aborted_;  // the reason; "" while nobody has
  std::thread thread_;
};

}  // namespace trireme
