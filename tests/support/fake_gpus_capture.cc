// Stream capture and graphs of the fake GPUs. A replay runs each captured stream's part on a thread
// of its own, so that what the graph does not order may race.

#include <algorithm>
#include <thread>
#include <utility>

#include "tests/support/fake_gpus_machine.h"

namespace trireme::testing::fake_gpus {
namespace {

using ExecHandle = std::shared_ptr<const Recorded>;
using GraphHandle = std::shared_ptr<Recorded>;

ExecHandle& exec_of(cudaGraphExec_t handle) { return *reinterpret_cast<ExecHandle*>(handle); }
GraphHandle& graph_of(cudaGraph_t handle) { return *reinterpret_cast<GraphHandle*>(handle); }

/// True if every node comes before a point behind `last`: all captured streams were joined again.
bool is_joined(const Recorded& recorded, const std::set<size_t>& last) {
  std::set<size_t> reached = last;
  for (size_t n = recorded.nodes.size(); n-- > 0;) {
    if (reached.contains(n))
      reached.insert(recorded.nodes[n].after.begin(), recorded.nodes[n].after.end());
  }
  return reached.size() == recorded.nodes.size();
}

void run_graph(const Recorded& recorded) {
  std::mutex mutex;
  std::condition_variable changed;
  std::set<size_t> done;  // guarded by mutex
  const auto run_lane = [&](int lane) {
    for (size_t n = 0; n < recorded.nodes.size(); ++n) {
      const Node& node = recorded.nodes[n];
      if (node.lane != lane) continue;
      {
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] {
          return std::includes(done.begin(), done.end(), node.after.begin(), node.after.end());
        });
      }
      node.work();
      const std::lock_guard lock(mutex);
      done.insert(n);
      changed.notify_all();
    }
  };
  std::vector<std::thread> others;
  for (int lane = 1; lane < recorded.lanes; ++lane) others.emplace_back(run_lane, lane);
  run_lane(0);
  for (std::thread& other : others) other.join();
}

void join_capture(FakeStream& stream, const std::shared_ptr<Capture>& capture) {
  stream.capture = capture;
  stream.lane = capture->recorded->lanes++;
  stream.after.clear();
  capture->streams.insert(&stream);
}

cudaError_t begin_capture(cudaStream_t handle, cudaStreamCaptureMode) {
  if (const auto status = enter("stream_begin_capture")) return status;
  const std::lock_guard lock(machine().mutex);
  FakeStream& stream = stream_of(handle);
  if (stream.capture) return cudaErrorIllegalState;
  const auto capture = std::make_shared<Capture>();
  capture->origin = &stream;
  join_capture(stream, capture);
  return cudaSuccess;
}

cudaError_t end_capture(cudaStream_t handle, cudaGraph_t* graph) {
  const cudaError_t wanted = enter("stream_end_capture");
  std::shared_ptr<Recorded> recorded;  // destroyed without the lock: its work may itself take some
  const std::lock_guard lock(machine().mutex);
  *graph = nullptr;
  const std::shared_ptr<Capture> capture = stream_of(handle).capture;
  if (!capture || capture->origin != &stream_of(handle)) return cudaErrorIllegalState;
  recorded = std::move(capture->recorded);
  const bool joined = is_joined(*recorded, stream_of(handle).after);
  capture->has_ended = true;
  for (FakeStream* stream : capture->streams) {
    stream->capture = nullptr;
    stream->after.clear();
  }
  if (wanted) return wanted;
  if (capture->is_invalid) return cudaErrorStreamCaptureInvalidated;
  if (!joined) return cudaErrorStreamCaptureUnjoined;
  *graph = reinterpret_cast<cudaGraph_t>(new GraphHandle(std::move(recorded)));
  return cudaSuccess;
}

cudaError_t launch(cudaGraphExec_t exec, cudaStream_t handle) {
  if (const auto status = enter("graph_launch")) return status;
  const std::lock_guard lock(machine().mutex);
  FakeStream& stream = stream_of(handle);
  if (const auto status = refuse_if_capturing(stream)) return status;
  push(stream, [recorded = exec_of(exec)] { run_graph(*recorded); });
  return cudaSuccess;
}

}  // namespace

void push(FakeStream& stream, Work work) {
  if (!stream.capture) {
    stream.work.push_back(std::move(work));
    machine().changed.notify_all();
    return;
  }
  auto& nodes = stream.capture->recorded->nodes;
  nodes.push_back({std::move(work), std::move(stream.after), stream.lane});
  stream.after = {nodes.size() - 1};
}

cudaError_t refuse_if_capturing(FakeStream& stream) {
  if (!stream.capture) return cudaSuccess;
  stream.capture->is_invalid = true;
  return cudaErrorStreamCaptureUnsupported;
}

cudaError_t record_captured(FakeEvent& event, FakeStream& stream) {
  event = {nullptr, stream.capture, stream.after};
  return cudaSuccess;
}

cudaError_t wait_captured(FakeStream& stream, const FakeEvent& event) {
  if (event.capture && event.capture->has_ended) return cudaErrorCapturedEvent;
  if (!event.capture) {
    // Only what a stream has done before is taken as done by a capture.
    stream.capture->is_invalid = true;
    return cudaErrorStreamCaptureIsolation;
  }
  if (!stream.capture) join_capture(stream, event.capture);
  if (stream.capture != event.capture) return cudaErrorStreamCaptureMerge;
  stream.after.insert(event.after.begin(), event.after.end());
  return cudaSuccess;
}

void add_capture(cuda::Api& t) {
  t.stream_is_capturing = [](cudaStream_t stream, cudaStreamCaptureStatus* status) {
    if (const auto failure = enter("stream_is_capturing")) return failure;
    const std::lock_guard lock(machine().mutex);
    *status =
        stream_of(stream).capture ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
    return cudaSuccess;
  };
  t.stream_begin_capture = begin_capture;
  t.stream_end_capture = end_capture;
  t.graph_get_nodes = [](cudaGraph_t graph, cudaGraphNode_t*, size_t* count) {
    *count = graph_of(graph)->nodes.size();
    return cudaSuccess;
  };
  t.graph_instantiate = [](cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
    if (const auto status = enter("graph_instantiate")) return status;
    *exec = reinterpret_cast<cudaGraphExec_t>(new ExecHandle(graph_of(graph)));
    return cudaSuccess;
  };
  t.graph_launch = launch;
  // What replays still need lives on with them.
  t.graph_exec_destroy = [](cudaGraphExec_t exec) {
    delete &exec_of(exec);
    return cudaSuccess;
  };
  t.graph_destroy = [](cudaGraph_t graph) {
    delete &graph_of(graph);
    return cudaSuccess;
  };
}

}  // namespace trireme::testing::fake_gpus
