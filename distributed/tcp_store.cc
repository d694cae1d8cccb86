#include "distributed/tcp_store.h"

#include "core/base/config.h"
#include "core/base/error.h"
#include "distributed/host_name.h"
#include "distributed/tcp_socket.h"

namespace trireme {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr milliseconds kLookForStop{50};
constexpr milliseconds kAbortTimeout{2'000};  // whoever aborts is about to end

}  // namespace

TcpStore::TcpStore(const std::string& host, int port, int rank, milliseconds timeout)
    : host_(host),
      rank_(rank),
      timeout_(timeout),
      server_(rank == 0 ? std::make_unique<TcpStoreServer>(host, port) : nullptr),
      port_(server_ ? server_->port() : port) {
  connect();
}

void TcpStore::connect() {
  received_.clear();
  socket_ = connect_tcp(host_, port_, timeout_);
  if (!ask({store_op::kHello, kVersion}, timeout_)) throw_late("a greeting", timeout_);
}

std::string TcpStore::describe() const { return concat("tcp store ", host_, ":", port_); }

std::optional<StoreFields> TcpStore::ask(const StoreFields& request, milliseconds timeout) {
  if (!socket_) connect();
  const auto deadline = Clock::now() + timeout;
  bool is_there = send_all(socket_, encode(request), deadline);
  while (is_there) {
    if (auto answer = take_message(received_)) {
      const std::string kind = answer->empty() ? "" : answer->front();
      if (!answer->empty()) answer->erase(answer->begin());
      if (kind == store_answer::kOk) return answer;
      if (kind == store_answer::kNothing) return std::nullopt;
      const std::string why = answer->empty() ? "an answer that is none" : answer->front();
      if (kind == store_answer::kAborted) throw CommError(CommError::Kind::kAborted, why);
      throw CommError(CommError::Kind::kMismatch,
                      concat(describe(), ": refused rank ", rank_, ", ", why));
    }
    const Heard heard =
        receive_some(socket_, received_, std::min(deadline, Clock::now() + kLookForStop));
    if (stopped_) throw CommError(CommError::Kind::kAborted, describe() + ": stopped");
    if (heard == Heard::kNothing && Clock::now() < deadline) continue;
    if (heard == Heard::kNothing) {
      socket_ = FileDescriptor();  // a late answer must not be taken for another's
      return std::nullopt;
    }
    is_there = heard == Heard::kBytes;
  }
  socket_ = FileDescriptor();
  throw CommError(CommError::Kind::kPeerLost,
                  concat(describe(), ": rank ", rank_, " on ", host_name(),
                         " lost the connection; rank 0 has ended"));
}

void TcpStore::throw_late(const std::string& what, milliseconds timeout) const {
  throw CommError(CommError::Kind::kTimeout,
                  concat(describe(), ": rank ", rank_, " on ", host_name(), " waited ",
                         timeout.count(), " ms for ", what));
}

void TcpStore::set(const std::string& key, const std::string& value) {
  if (!ask({store_op::kSet, key, value}, timeout_)) throw_late("an answer", timeout_);
}

std::optional<std::string> TcpStore::find(const std::string& key) {
  const auto answer = ask({store_op::kFind, key}, timeout_);
  if (!answer && !socket_) throw_late("an answer", timeout_);
  if (!answer || answer->empty()) return std::nullopt;
  return answer->front();
}

std::string TcpStore::get(const std::string& key, milliseconds timeout) {
  const auto answer = ask({store_op::kGet, key}, timeout);
  if (!answer || answer->empty()) throw_late(concat("'", key, "', which nobody set"), timeout);
  return answer->front();
}

int64_t TcpStore::add(const std::string& key, int64_t delta) {
  const auto answer = ask({store_op::kAdd, key, std::to_string(delta)}, timeout_);
  if (!answer || answer->empty()) throw_late("an answer", timeout_);
  return number_in(answer->front());
}

// Over a connection of its own, because another thread may be using this one's.
void TcpStore::abort(const std::string& reason) noexcept {
  try {
    const FileDescriptor socket = connect_tcp(host_, port_, kAbortTimeout);
    const auto deadline = Clock::now() + kAbortTimeout;
    std::string received;
    for (const StoreFields& request :
         {StoreFields{store_op::kHello, kVersion}, StoreFields{store_op::kAbort, reason}}) {
      if (!send_all(socket, encode(request), deadline)) return;
      while (!take_message(received)) {
        if (receive_some(socket, received, deadline) != Heard::kBytes) return;
      }
    }
  } catch (const std::exception&) {
    // Rank 0 is gone, and all others notice that by themselves.
  }
}

std::vector<std::string> TcpStore::gather(const std::string& name, int rank, int world_size,
                                          const std::string& mine, milliseconds timeout) {
  auto all = ask({store_op::kGather, name, std::to_string(rank), std::to_string(world_size), mine},
                 timeout);
  if (all) return std::move(*all);
  std::vector<int> missing;
  if (const auto ranks = ask({store_op::kMissing, name, std::to_string(world_size)}, timeout_)) {
    for (const std::string& r : *ranks) missing.push_back(static_cast<int>(number_in(r)));
  }
  throw_missing_ranks(*this, name, rank, missing, timeout);
}

}  // namespace trireme
