// What the parts of FakeGpus share: its streams, events and graphs, and the table's entry points
// for stream capture (fake_gpus_capture.cc).

#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "tests/support/fake_gpus.h"

namespace trireme::testing::fake_gpus {

using Work = std::function<void()>;

/// A recorded point of a stream's work.
struct Point {
  bool reached = false;
};

/// Work of a graph; runs once all of `after` has. Each captured stream is a lane.
struct Node {
  Work work;
  std::set<size_t> after;
  int lane = 0;
};
struct Recorded {
  std::vector<Node> nodes;
  int lanes = 0;
};

struct FakeStream;

/// A capture that is going on, or was.
struct Capture {
  std::shared_ptr<Recorded> recorded = std::make_shared<Recorded>();
  std::set<FakeStream*> streams;  // the origin and those that wait for it
  FakeStream* origin = nullptr;
  bool is_invalid = false;  // something that cannot be captured was tried
  bool has_ended = false;
};

struct FakeEvent {
  std::shared_ptr<Point> point;
  std::shared_ptr<Capture> capture;  // that it was recorded in; then `after` is the point
  std::set<size_t> after;
};

struct FakeStream {
  std::deque<Work> work;
  bool busy = false;
  bool destroyed = false;
  std::shared_ptr<Capture> capture;
  int lane = 0;
  std::set<size_t> after;  // the nodes that the next one comes behind
};

using StreamHandle = std::shared_ptr<FakeStream>;
inline FakeStream& stream_of(cudaStream_t handle) {
  return **reinterpret_cast<StreamHandle*>(handle);
}
inline FakeEvent& event_of(cudaEvent_t handle) { return *reinterpret_cast<FakeEvent*>(handle); }

inline FakeGpus::State& machine();

/// Takes a failure that a test has asked for.
cudaError_t enter(const char* name);

// These require State::mutex.

/// On the stream's queue, or into the graph that it is captured for.
void push(FakeStream& stream, Work work);
/// What a capturing stream cannot be asked for: fails, and its capture with it. Else success.
cudaError_t refuse_if_capturing(FakeStream& stream);
cudaError_t record_captured(FakeEvent& event, FakeStream& stream);
/// Lets `stream` wait for an event that was recorded in a capture, or is captured itself.
cudaError_t wait_captured(FakeStream& stream, const FakeEvent& event);

/// Fills in the entry points for captures and graphs.
void add_capture(cuda::Api& table);

}  // namespace trireme::testing::fake_gpus

namespace trireme::testing {

struct FakeGpus::State {
  mutable std::mutex mutex;
  std::condition_variable changed;

  // Guarded by mutex, as are streams, events and graphs.
  std::vector<std::string> log;
  std::map<std::string, cudaError_t> failures;
  std::map<int, int> aliases;
  std::map<void*, size_t> blocks;
  FakeGpus::Kernel kernel;
  int visible = kFakeGpus;
  int kernels = 0, memsets = 0, host_waits = 0;
};

inline FakeGpus::State& fake_gpus::machine() { return FakeGpus::get().state(); }

}  // namespace trireme::testing
