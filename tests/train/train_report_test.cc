// Which waiting counts as exposed communication.
#include "launcher/train_report.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <thread>

#include "distributed/local_communicator.h"
#include "tests/support/temp_dir.h"

namespace trireme {
namespace {

using ::trireme::testing::TempDir;

// A communicator of one rank whose statistics the test sets.
class ScriptedCommunicator final : public Communicator {
 public:
  const char* backend() const override { return "scripted"; }
  int rank() const override { return 0; }
  int world_size() const override { return 1; }
  WorkPtr all_reduce(void* data, int64_t count, DType dtype, ReduceOp op) override {
    return real_->all_reduce(data, count, dtype, op);
  }
  WorkPtr reduce_scatter(const void* in, void* out, int64_t count, DType dtype,
                         ReduceOp op) override {
    return real_->reduce_scatter(in, out, count, dtype, op);
  }
  WorkPtr all_gather(const void* in, void* out, int64_t bytes) override {
    return real_->all_gather(in, out, bytes);
  }
  WorkPtr broadcast(void* data, int64_t bytes, int root) override {
    return real_->broadcast(data, bytes, root);
  }
  void barrier() override {}
  WorkPtr send(const void* data, int64_t bytes, int to) override {
    return real_->send(data, bytes, to);
  }
  WorkPtr recv(void* data, int64_t bytes, int from) override {
    return real_->recv(data, bytes, from);
  }
  std::shared_ptr<void> allocate(int64_t bytes) override { return real_->allocate(bytes); }
  void abort(const std::string&) noexcept override {}
  CommStats stats() const override { return scripted; }

  CommStats scripted;

 private:
  std::unique_ptr<Communicator> real_ = std::move(make_local_communicators(1).front());
};

class TrainReportTest : public ::testing::Test {
 protected:
  /// A step whose backward lasts 20 ms, `waited` seconds of them in collectives.
  void step(double waited) {
    report_.step_begins();
    {
      const auto scope = report_.phase(Phase::kBackward);
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      communicator_.scripted.waited_seconds += waited;
      communicator_.scripted.busy_seconds += waited;
    }
    report_.backward_done();
    report_.step_done({.step = ++steps_, .samples = 1});
  }
  StepStats published() const { return read_stats_pages(run_id_).at(0).stats; }

  struct ServedBySomebody {
    ServedBySomebody() { ::setenv("TRIREME_METRICS", "launcher", 1); }
    ~ServedBySomebody() { ::unsetenv("TRIREME_METRICS"); }
  };

  ServedBySomebody served_;
  TempDir dir_;
  const std::string run_id_ = "report-test-" + std::to_string(::getpid());
  ScriptedCommunicator communicator_;
  TrainReport report_{{.task = "test", .out = dir_.path(), .run_id = run_id_}, {}, communicator_};
  int64_t steps_ = 0;
};

TEST_F(TrainReportTest, WaitingInBackwardIsExposed) {
  step(0.010);
  StepStats stats = published();
  EXPECT_NEAR(stats.seconds_in(Phase::kCommExposed), 0.010, 1e-6);
  EXPECT_NEAR(stats.comm_exposed_seconds, 0.010, 1e-6);
}

TEST_F(TrainReportTest, WaitingForACheckpointIsNot) {
  step(0);
  {
    const auto scope = report_.phase(Phase::kCheckpoint);
    communicator_.scripted.waited_seconds += 5;
    communicator_.scripted.busy_seconds += 5;
  }
  step(0);
  StepStats stats = published();
  EXPECT_NEAR(stats.seconds_in(Phase::kCommExposed), 0, 1e-6);
  EXPECT_GE(stats.seconds_in(Phase::kBackward), 0.040);
  EXPECT_NEAR(stats.comm_exposed_seconds, 0, 1e-6);
  EXPECT_NEAR(stats.comm_busy_seconds, 0, 1e-6);
}

}  // namespace
}  // namespace trireme
