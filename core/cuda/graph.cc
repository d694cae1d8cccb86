#include "core/cuda/graph.h"

#include <utility>

#include "core/base/philox.h"
#include "core/cuda/allocator.h"
#include "core/cuda/api.h"
#include "core/cuda/check.h"
#include "core/cuda/graph_exec.h"
#include "core/cuda/graph_memory.h"
#include "core/cuda/stream.h"

namespace trireme::cuda {
namespace {

[[noreturn]] void refuse(const std::string& reason) {
  throw CudaError("capture: the step cannot be captured, " + reason);
}

struct DestroyGraph {
  void operator()(cudaGraph_t graph) const { api().graph_destroy(graph); }
};
using RecordedGraph = std::unique_ptr<CUgraph_st, DestroyGraph>;

// While it lives this thread's work on `stream` is recorded. Ends the capture in any case: a stream
// left capturing would be unusable.
class Recording {
 public:
  Recording(int device, cudaStream_t stream, std::shared_ptr<GraphExec> exec)
      : device_(device), stream_(stream), memory_(std::make_shared<GraphMemory>(device, stream)) {
    if (captured_memory()) refuse("this thread is capturing another one already");
    // Relaxed: the memory of the graph is allocated while capturing, on another stream.
    check("capture", api().stream_begin_capture(stream, cudaStreamCaptureModeRelaxed));
    Allocator::of(device).begin_capture(memory_);
    captured_memory() = memory_;
    captured_exec() = std::move(exec);
  }
  ~Recording() {
    RecordedGraph dropped;
    if (captured_memory()) finish(&dropped);
  }

  cudaError_t finish(RecordedGraph* graph) noexcept {
    captured_memory() = nullptr;
    captured_exec() = nullptr;
    Allocator::of(device_).end_capture(*memory_);
    cudaGraph_t recorded = nullptr;
    const cudaError_t status = api().stream_end_capture(stream_, &recorded);
    if (status != cudaSuccess) api().get_last_error();
    graph->reset(recorded);
    return status;
  }
  const std::shared_ptr<GraphMemory>& memory() const { return memory_; }

 private:
  const int device_;
  const cudaStream_t stream_;
  const std::shared_ptr<GraphMemory> memory_;
  const NoRandomNumbers no_random_{
      "a captured step would draw the same random numbers at each replay; leave dropout out of it"};
};

}  // namespace

struct Graph::State {
  const int device;
  std::shared_ptr<GraphMemory> memory;
  const std::shared_ptr<GraphExec> exec = std::make_shared<GraphExec>();
  size_t num_nodes = 0;
  cudaStream_t last_stream = nullptr;  // of the last replay
  Event ready;                         // memory is there; later, the last replay on another stream

  explicit State(int on) : device(on), ready(on) {}
};

Graph::Graph(std::unique_ptr<State> state) : state_(std::move(state)) {}

Graph::~Graph() {
  State& state = *state_;
  if (!state.last_stream) return;
  try {  // the memory goes back behind the last replay, see GraphMemory
    state.ready.record(state.last_stream);
    state.ready.make_wait(default_stream(state.device));
  } catch (const Error&) {  // the device has failed, and with it all of its work
  }
}

void Graph::replay() {
  State& state = *state_;
  const cudaStream_t stream = current_stream(state.device);
  refuse_while_capturing("replay", "replay it behind the step");
  if (stream != state.last_stream) {
    if (state.last_stream) state.ready.record(state.last_stream);
    state.ready.make_wait(stream);
    state.last_stream = stream;
  }
  state.exec->launch(stream);
  check_launch("replay", {stream, state.device});
}

int64_t Graph::num_nodes() const { return static_cast<int64_t>(state_->num_nodes); }

std::unique_ptr<Graph> capture(int device, const std::function<void()>& step) {
  auto state = std::make_unique<Graph::State>(device);
  RecordedGraph graph;
  {
    Recording recording(device, current_stream(device), state->exec);
    try {
      step();
    } catch (const CudaError& error) {
      refuse(error.what());
    }
    state->memory = recording.memory();
    const cudaError_t status = recording.finish(&graph);
    if (status != cudaSuccess) refuse(describe("end of the step", status));
  }
  check("capture", api().graph_get_nodes(graph.get(), nullptr, &state->num_nodes));
  if (state->num_nodes == 0) refuse("it queued nothing on the current stream of its device");
  const cudaError_t status = state->exec->instantiate(graph.get());
  if (status != cudaSuccess) {
    api().get_last_error();
    refuse(describe("the driver refused its graph", status));
  }
  state->ready.record(allocation_stream(device));
  return std::unique_ptr<Graph>(new Graph(std::move(state)));
}

void refuse_while_capturing(const char* what, const char* advice) {
  if (captured_memory()) {
    throw CudaError(concat(what, ": this cannot be part of a captured step; ", advice));
  }
}

}  // namespace trireme::cuda
