// What FakeNccl's communicators share, and its collectives on the ranks' streams.

#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "distributed/nccl_api.h"
#include "tests/support/fake_nccl.h"

namespace trireme::testing::fake_nccl {

using std::chrono::milliseconds;
using Key = std::pair<int, int>;  // rank, number of its collective

/// What the ranks of one collective have brought.
struct Meeting {
  std::map<int, const void*> in;
  std::map<int, void*> out;
  bool done = false;
};

struct World {
  int ranks = 0;
  std::set<int> joined;
  std::map<int, Meeting> meetings;                     // by number
  std::map<Key, std::vector<std::vector<char>>> mail;  // (from, to) -> messages
  std::map<int, std::map<int, Key>> splits;            // split number -> rank -> (color, key)
};

struct Fake;

struct Comm {
  Fake* owner = nullptr;  // for the streams: an aborted one's may outlive the test
  std::shared_ptr<World> world;
  int rank = 0;
  int calls = 0;        // collectives that the host has asked for, but for captured ones
  int begun = 0;        // collectives on the stream, replayed ones too
  int graph_calls = 0;  // in graphs that are alive
  int splits = 0;
  int busy = 0;        // looks until the last call is accepted
  bool hangs = false;  // never becomes ready
  bool finalizing = false;
  bool ended = false;
  ncclResult_t state = ncclSuccess;
};

struct Fake {
  std::mutex mutex;
  std::condition_variable changed;

  // Guarded by mutex.
  std::map<std::string, std::shared_ptr<World>> worlds;  // by unique id
  std::map<std::string, std::pair<ncclResult_t, int>> failures;
  std::set<int> init_hangs;
  std::set<Key> hangs;
  std::map<Key, milliseconds> delays;
  std::map<int, ncclResult_t> async_errors;
  std::map<int, int> versions;
  std::map<ncclRedOp_t, float> pre_scaled;
  std::set<void*> registrations, memory;
  bool abort_hangs = false;
  int live = 0, aborts = 0, next_id = 1;
  FakeNccl::Config config = {NCCL_CONFIG_INITIALIZER, "", ""};
};

extern Fake* fake;  // the one in force

struct Call {
  enum Kind { kAllReduce, kReduceScatter, kAllGather, kBroadcast, kSend, kRecv } kind;
  const void* in;
  void* out;
  size_t count;
  ncclDataType_t type;
  ncclRedOp_t op;
  int root;  // or peer
  std::shared_ptr<Comm> comm;
  cudaStream_t stream;
  std::shared_ptr<void> in_graph = nullptr;  // counts it in Comm::graph_calls
};

/// Queues a call on its stream; collectives are numbered per rank as they begin. Requires
/// fake->mutex.
void queue(Call call);

}  // namespace trireme::testing::fake_nccl
