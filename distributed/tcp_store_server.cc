#include "distributed/tcp_store_server.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "core/base/config.h"
#include "core/base/error.h"
#include "distributed/tcp_socket.h"

namespace trireme {
namespace {

using Clock = std::chrono::steady_clock;
// A client that does not read its answers must not hold up the others for long.
constexpr std::chrono::seconds kSendTimeout{5};

StoreFields refused(std::string why) { return {store_answer::kRefused, std::move(why)}; }

// Closed connections of clients that end first leave no trace; anything else would be news.
void use_no_delay(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

}  // namespace

TcpStoreServer::TcpStoreServer(const std::string& host, int port)
    : listener_(listen_tcp(host, port)),
      port_(port_of(listener_)),
      stop_(eventfd(0, EFD_CLOEXEC)),
      thread_([this] { run(); }) {}

TcpStoreServer::~TcpStoreServer() {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(stop_.get(), &one, sizeof one);
  thread_.join();
}

void TcpStoreServer::run() {
  while (true) {
    std::vector<pollfd> entries{{stop_.get(), POLLIN, 0}, {listener_.get(), POLLIN, 0}};
    std::vector<int> ids;
    for (const auto& [id, client] : clients_) {
      entries.push_back({client.socket.get(), POLLIN, 0});
      ids.push_back(id);
    }
    if (poll(entries.data(), entries.size(), -1) < 0 && errno != EINTR) return;
    if (entries[0].revents) return;
    if (entries[1].revents) accept_clients();
    for (size_t i = 0; i < ids.size(); ++i) {
      if (!entries[i + 2].revents || !clients_.contains(ids[i])) continue;
      bool keep = false;
      try {
        keep = serve(ids[i]);
      } catch (const std::exception& error) {
        send(ids[i], refused(error.what()));
      }
      if (!keep) drop(ids[i]);
    }
  }
}

void TcpStoreServer::accept_clients() {
  while (true) {
    FileDescriptor socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket) return;
    use_no_delay(socket.get());
    clients_[next_id_++].socket = std::move(socket);
  }
}

bool TcpStoreServer::serve(int id) {
  Client& client = clients_.at(id);
  const Heard heard = receive_some(client.socket, client.received, Clock::now());
  if (heard == Heard::kClosed) return false;
  while (auto request = take_message(client.received)) {
    if (request->empty()) return false;
    const StoreFields fields = client.greeted ? answer(id, *request) : greet(client, *request);
    if (!fields.empty()) send(id, fields);
    if (!clients_.contains(id) || !client.greeted) return false;
  }
  return true;
}

StoreFields TcpStoreServer::greet(Client& client, const StoreFields& request) {
  if (request.size() != 2 || request[0] != store_op::kHello) {
    return refused("the client speaks another version of this protocol");
  }
  if (request[1] != kVersion) {
    return refused(concat("rank 0 runs Trireme ", kVersion, ", this rank ", request[1],
                          "; use the same version on every rank"));
  }
  client.greeted = true;
  return {store_answer::kOk};
}

StoreFields TcpStoreServer::answer(int id, const StoreFields& request) {
  const std::string& op = request[0];
  const auto takes = [&](const char* name, size_t fields) {
    return op == name && request.size() == fields + 1;
  };
  if (takes(store_op::kSet, 2)) return set(request[1], request[2]);
  if (takes(store_op::kFind, 1) || takes(store_op::kGet, 1)) {
    const auto value = values_.find(request[1]);
    if (value != values_.end()) return {store_answer::kOk, value->second};
    if (op == store_op::kFind) return {store_answer::kNothing};
    clients_.at(id).awaited_key = request[1];
    return {};
  }
  if (takes(store_op::kAdd, 2)) {
    const auto old = values_.find(request[1]);
    const int64_t before = old == values_.end() ? 0 : number_in(old->second);
    const std::string sum = std::to_string(before + number_in(request[2]));
    set(request[1], sum);
    return {store_answer::kOk, sum};
  }
  if (takes(store_op::kGather, 4)) return gather(id, request);
  if (takes(store_op::kMissing, 2)) return missing(request);
  if (takes(store_op::kAbort, 1)) return abort(request[1]);
  return refused(concat("no such request: ", op));
}

StoreFields TcpStoreServer::set(const std::string& key, const std::string& value) {
  values_[key] = value;
  std::vector<int> waiting;
  for (auto& [id, client] : clients_) {
    if (client.awaited_key == key) waiting.push_back(id);
  }
  for (const int id : waiting) {
    clients_.at(id).awaited_key.clear();
    send(id, {store_answer::kOk, value});
  }
  return {store_answer::kOk};
}

StoreFields TcpStoreServer::gather(int id, const StoreFields& request) {
  if (!aborted_.empty()) return {store_answer::kAborted, aborted_};
  const int64_t rank = number_in(request[2]);
  const int64_t world_size = number_in(request[3]);
  Gather& gather = gathers_[request[1]];
  if (!gather.values.emplace(rank, request[4]).second) {
    return refused(concat("rank ", rank, " is there already in '", request[1],
                          "'; two processes claim this rank"));
  }
  gather.waiting[rank] = id;
  if (static_cast<int64_t>(gather.values.size()) < world_size) return {};
  StoreFields all{store_answer::kOk};
  for (const auto& [r, value] : gather.values) all.push_back(value);
  const auto waiting = std::move(gather.waiting);
  gathers_.erase(request[1]);
  for (const auto& [r, waiter] : waiting) send(waiter, all);
  return {};
}

// The first reason stays: later ones are its consequences.
StoreFields TcpStoreServer::abort(const std::string& reason) {
  if (aborted_.empty()) aborted_ = reason.empty() ? "no reason given" : reason;
  for (auto& [name, gather] : gathers_) {
    for (const auto& [rank, id] : gather.waiting) send(id, {store_answer::kAborted, aborted_});
    gather.waiting.clear();  // who had come is still known to kMissing
  }
  return {store_answer::kOk};
}

StoreFields TcpStoreServer::missing(const StoreFields& request) const {
  const auto gather = gathers_.find(request[1]);
  StoreFields ranks{store_answer::kOk};
  for (int64_t r = 0; r < number_in(request[2]); ++r) {
    if (gather == gathers_.end() || !gather->second.values.contains(r)) {
      ranks.push_back(std::to_string(r));
    }
  }
  return ranks;
}

// A client that is gone, or does not listen, is noticed when its connection is next looked at.
void TcpStoreServer::send(int id, const StoreFields& fields) {
  const auto client = clients_.find(id);
  if (client == clients_.end()) return;
  if (!send_all(client->second.socket, encode(fields), Clock::now() + kSendTimeout)) {
    shutdown(client->second.socket.get(), SHUT_RDWR);
  }
}

void TcpStoreServer::drop(int id) { clients_.erase(id); }

}  // namespace trireme
