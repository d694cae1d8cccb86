// NcclCommunicator, the part that looks after captured collectives: one Replay for each captured
// step. To the watch and to the other ranks a replay counts as as many collectives as it has.

#include "core/cuda/graph_exec.h"
#include "distributed/nccl_communicator.h"

namespace trireme {

class NcclCommunicator::Replay final : public cuda::ReplayListener {
 public:
  Replay(NcclCommunicator& communicator, const cuda::GraphExec* graph)
      : connection_(communicator.connection_), communicator_(communicator), graph_(graph) {}

  const cuda::GraphExec* graph() const { return graph_; }

  void add(const std::vector<Operation>& operations, const NcclWork& work) {
    if (count_ == 0) first_ = operations.front().description;
    last_ = operations.back().description;
    count_ += operations.size();
    for (const Operation& operation : operations) bytes_ += operation.shape.bytes();
    buffers_.insert(buffers_.end(), work.buffers.begin(), work.buffers.end());
  }

  void before_replay(cudaStream_t stream) override {
    connection_->throw_if_failed();
    if (!connection_->is_connected()) {
      throw CommError(CommError::Kind::kAborted,
                      concat("nccl: ", trireme::describe(connection_->place()),
                             ": a captured step is replayed after the communicator of its "
                             "collectives was closed; capture it anew with another one"));
    }
    NcclCommunicator& c = communicator_;
    const uint64_t first = c.number_ + 1;
    c.number_ += count_;
    work_ = std::make_shared<NcclWork>(connection_, c.place_.device);
    work_->description = describe(first, c.number_);
    work_->buffers = buffers_;
    work_->begin_replay(stream, c.stream_.get());
    c.watch_.add(work_, c.number_);  // a launch may itself wait for peers
  }

  void after_replay(cudaStream_t stream) noexcept override {
    NcclCommunicator& c = communicator_;
    try {
      work_->end_replay(stream, c.stream_.get());
      if (c.host_) c.host_->set_progress(c.number_);
      c.count(static_cast<int64_t>(count_), bytes_);
    } catch (const std::exception&) {
      c.watch_.ask_to_fail(std::current_exception());  // nobody could tell when it is done
    }
    work_ = nullptr;
  }

 private:
  std::string describe(uint64_t first, uint64_t last) const {
    if (count_ == 1) return concat("the replay #", first, " of ", first_);
    return concat("the replay #", first, " to #", last, " of ", first_, " to ", last_);
  }

  const std::shared_ptr<NcclConnection> connection_;
  NcclCommunicator& communicator_;  // is there as long as connection_ is connected
  const cuda::GraphExec* const graph_;

  // What was captured.
  std::string first_, last_;
  uint64_t count_ = 0;
  int64_t bytes_ = 0;
  std::vector<std::shared_ptr<const void>> buffers_;

  std::shared_ptr<NcclWork> work_;  // the replay that is being launched
};

void NcclCommunicator::add_to_captured_step(const std::vector<Operation>& operations,
                                            const NcclWork& work) {
  const std::shared_ptr<cuda::GraphExec> graph = cuda::captured_exec();
  require(graph != nullptr, "nccl", work.description,
          " is on a stream that another thread captures; start it on that thread");
  std::shared_ptr<Replay> replay = captured_.lock();
  if (!replay || replay->graph() != graph.get()) {
    replay = std::make_shared<Replay>(*this, graph.get());
    graph->listen(replay);
    connection_->add_graph(graph);
    captured_ = replay;
  }
  replay->add(operations, work);
}

}  // namespace trireme
