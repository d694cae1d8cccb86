#include "distributed/node_group.h"

#include <cstring>
#include <thread>

#include "core/base/error.h"
#include "distributed/host_name.h"
#include "distributed/local_socket.h"

namespace trireme {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr uint64_t kMagic = 0x7472697265'6d6532;  // changes with the layout of what is exchanged
constexpr milliseconds kRetryEvery{10};
constexpr milliseconds kLookEvery{100};

/// What a rank says first.
struct Hello {
  uint64_t magic = kMagic;
  int32_t rank = 0;
  int32_t world_size = 0;
  ProcessIdentity process;
};

[[noreturn]] void fail_group(CommError::Kind kind, const std::string& text) {
  throw CommError(kind, concat("shm rendezvous on ", host_name(), ": ", text));
}

// What rank 0 answers begins with one letter: kMemory, or 'A' + the kind of the error whose text
// follows.
constexpr char kMemory = 'm';

std::string message_of(const std::exception& error) {
  const auto* comm_error = dynamic_cast<const CommError*>(&error);
  const auto kind = comm_error ? comm_error->kind() : CommError::Kind::kSystem;
  return static_cast<char>('A' + static_cast<int>(kind)) + std::string(error.what());
}

[[noreturn]] void throw_told(const std::string& message) {
  if (message.empty() || message[0] == kMemory) {
    fail_group(
        CommError::Kind::kSystem,
        "shared memory was sent but not received; check the limit of open files (ulimit -n)");
  }
  throw CommError(static_cast<CommError::Kind>(message[0] - 'A'),
                  concat("rank 0 says: ", message.substr(1)));
}

milliseconds left_until(Clock::time_point deadline) {
  return std::chrono::duration_cast<milliseconds>(deadline - Clock::now());
}

}  // namespace

NodeGroup::NodeGroup(const std::string& name, int rank, int world_size, milliseconds timeout)
    : rank_(rank), world_size_(world_size), timeout_(timeout), processes_(world_size) {
  processes_[rank] = this_process();
  if (rank == 0) {
    links_.resize(world_size);
    try {
      gather(listen_local(name));
    } catch (const std::exception& error) {
      give_error(error);
      throw;
    }
  } else {
    join(name);
  }
}

void NodeGroup::gather(const FileDescriptor& listener) {
  const auto deadline = Clock::now() + timeout_;
  std::vector<FileDescriptor> silent;  // connected, but have not said who they are
  for (int present = 1; present < world_size_;) {
    check_present(deadline);
    wait_for_news(listener, silent, std::min(kLookEvery, left_until(deadline)));
    if (FileDescriptor link = accept_local(listener, milliseconds(0))) {
      silent.push_back(std::move(link));
    }
    for (auto link = silent.begin(); link != silent.end();) {
      LocalMessage hello;
      const Received received = receive_message(*link, milliseconds(0), hello);
      if (received == Received::kNothing) {
        ++link;
        continue;
      }
      if (received == Received::kMessage && admit(std::move(*link), hello.text)) ++present;
      link = silent.erase(link);
    }
  }
}

void NodeGroup::check_present(Clock::time_point deadline) const {
  std::string missing;
  for (int r = 1; r < world_size_; ++r) {
    if (!links_[r]) {
      missing += concat(missing.empty() ? "" : ", ", r);
    } else if (!is_alive(processes_[r])) {
      fail_group(CommError::Kind::kPeerLost,
                 concat("rank ", r, " (process ", processes_[r].pid, ") is gone"));
    }
  }
  if (Clock::now() >= deadline) {
    fail_group(CommError::Kind::kTimeout,
               concat("rank 0 waited ", timeout_.count(), " ms for rank ", missing,
                      refused_.empty() ? "" : "; meanwhile ", refused_));
  }
}

bool NodeGroup::admit(FileDescriptor link, const std::string& text) {
  Hello hello;
  const bool is_hello = text.size() == sizeof(hello);
  if (is_hello) std::memcpy(&hello, text.data(), sizeof(hello));
  const auto end_all = [&](CommError::Kind kind, const std::string& text_for_all) {
    links_.push_back(std::move(link));  // is told together with the others
    fail_group(kind, text_for_all);
  };
  if (!is_hello || hello.magic != kMagic) {
    end_all(CommError::Kind::kMismatch, "ranks run different versions of Trireme");
  }
  if (hello.world_size != world_size_ || hello.rank < 1 || hello.rank >= world_size_) {
    end_all(CommError::Kind::kMismatch,
            concat("rank ", hello.rank, " (process ", hello.process.pid, ") counts ",
                   hello.world_size, " ranks, rank 0 counts ", world_size_));
  }
  // A death is noticed in /proc, so all ranks must count processes alike and be able to look.
  if (const pid_t seen = peer_process_of(link); seen != hello.process.pid) {
    end_all(CommError::Kind::kSystem,
            concat("rank ", hello.rank, " is process ", hello.process.pid, " to itself, but ", seen,
                   " to rank 0: ranks are in different process-id name spaces; use "
                   "TRIREME_BACKEND=mpi"));
  }
  for (const auto& [r, process] :
       {std::pair(0, processes_[0]), std::pair(hello.rank, hello.process)}) {
    if (process.start_time != 0) continue;
    end_all(CommError::Kind::kSystem, concat("rank ", r, " cannot read /proc/", process.pid,
                                             "/stat; use TRIREME_BACKEND=mpi"));
  }
  if (links_[hello.rank]) {
    // It may be of another run, so this one goes on.
    refused_ = concat("processes ", processes_[hello.rank].pid, " and ", hello.process.pid,
                      " both say they are rank ", hello.rank,
                      "; if they are of two runs, give each its own TRIREME_RUN_ID (trireme run "
                      "--run-id)");
    const CommError error(CommError::Kind::kMismatch,
                          concat("shm rendezvous on ", host_name(), ": ", refused_));
    send_message(link, message_of(error));
    return false;
  }
  processes_[hello.rank] = hello.process;
  links_[hello.rank] = std::move(link);
  return true;
}

void NodeGroup::join(const std::string& name) {
  const auto deadline = Clock::now() + timeout_;
  links_.resize(1);
  while (!(links_[0] = connect_local(name))) {
    if (Clock::now() >= deadline) {
      fail_group(CommError::Kind::kTimeout,
                 concat("rank ", rank_, " waited ", timeout_.count(),
                        " ms, but rank 0 is not on this host under the name '", name, "'"));
    }
    std::this_thread::sleep_for(kRetryEvery);
  }
  const Hello hello{kMagic, rank_, world_size_, processes_[rank_]};
  // A failure shows when the answer is taken.
  send_message(links_[0], {reinterpret_cast<const char*>(&hello), sizeof(hello)});
}

void NodeGroup::give(const FileDescriptor& memory) {
  for (int r = 1; r < world_size_; ++r) {
    if (!send_message(links_[r], {kMemory}, &memory)) {
      const CommError lost(CommError::Kind::kPeerLost,
                           concat("shm on ", host_name(), ": rank ", r, " (process ",
                                  processes_[r].pid, ") is gone"));
      give_error(lost);
      throw lost;
    }
  }
}

void NodeGroup::give_error(const std::exception& error) noexcept {
  for (const FileDescriptor& link : links_) {
    try {
      if (link) send_message(link, message_of(error));
    } catch (const std::exception&) {
      // The link closes next, which the other side notices too.
    }
  }
}

FileDescriptor NodeGroup::take() {
  // Rank 0 answers at the latest at its own deadline; the extra time lets its reason arrive.
  const auto deadline = Clock::now() + timeout_ + std::chrono::seconds(1);
  LocalMessage message;
  while (true) {
    switch (receive_message(links_[0], std::min(kLookEvery, left_until(deadline)), message)) {
      case Received::kMessage:
        if (message.attached) return std::move(message.attached);
        throw_told(message.text);
      case Received::kClosed:
        fail_group(CommError::Kind::kPeerLost, "rank 0 is gone");
      case Received::kNothing:
        if (Clock::now() >= deadline) {
          fail_group(CommError::Kind::kTimeout,
                     concat("rank ", rank_, " waited ", timeout_.count(), " ms for rank 0"));
        }
    }
  }
}

}  // namespace trireme
