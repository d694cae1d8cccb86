// The trainer on an emulated GPU beside the CPU: the same losses, the same checkpoints, and nobody
// waits for the device in a step.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "core/checkpoint/catalog.h"
#include "core/cuda/stream.h"
#include "core/ops/ops.h"
#include "core/tensor/allocator.h"
#include "distributed/make_communicator.h"
#include "launcher/train_report.h"
#include "launcher/trainer.h"
#include "tests/cuda/fake_device.h"
#include "tests/data/idx_files.h"
#include "tests/support/temp_dir.h"

namespace trireme {
namespace {

using ::testing::HasSubstr;
using testing::TempDir;

constexpr Device kGpu{DeviceType::kCuda, 0};
using MakeTask = std::function<std::unique_ptr<TrainingTask>(const TrainOptions&)>;

std::unique_ptr<TrainingTask> gpt(const TrainOptions& options) {
  return make_gpt_task(
      options,
      {.size = "", .layers = 1, .heads = 2, .dim = 16, .context = 8, .text = {.sample = 1}});
}

/// Heads of 8, which cuDNN's attention takes in 16 bits, and fewer of keys than of queries.
std::unique_ptr<TrainingTask> llama(const TrainOptions& options) {
  return make_gpt_task(options, {.size = "",
                                 .arch = "llama",
                                 .layers = 1,
                                 .heads = 4,
                                 .dim = 32,
                                 .context = 8,
                                 .kv_heads = 2,
                                 .text = {.sample = 1}});
}

/// gpt(), with a hand in its loss in training.
class ChangedTask : public TrainingTask {
 public:
  ChangedTask(const TrainOptions& options, std::function<Tensor(const Tensor& loss)> change)
      : task_(gpt(options)), change_(std::move(change)) {}
  const char* name() const override { return task_->name(); }
  std::string description() const override { return task_->description(); }
  Module& model() override { return task_->model(); }
  std::shared_ptr<const Dataset> training_data() const override { return task_->training_data(); }
  std::shared_ptr<const Dataset> validation_data() const override {
    return task_->validation_data();
  }
  std::shared_ptr<const Sampler> training_sampler(int64_t batch, uint64_t seed,
                                                  Shard shard) const override {
    return task_->training_sampler(batch, seed, shard);
  }
  Tensor loss(const Batch& batch) override { return change_(task_->loss(batch)); }
  Evaluation evaluate(const Batch& batch) override { return task_->evaluate(batch); }
  bool is_classifier() const override { return task_->is_classifier(); }
  std::string sample() override { return ""; }

 private:
  std::unique_ptr<TrainingTask> task_;
  std::function<Tensor(const Tensor& loss)> change_;
};

class TrainingOnEmulatedGpu : public ::testing::Test {
 protected:
  TrainingOnEmulatedGpu() {
    ::setenv("TRIREME_METRICS", "off", 1);
    std::ofstream(dir_ / "text.txt") << [] {
      std::string text;
      for (int i = 0; i < 60; ++i) text += "three ranks of oars, one beat " + std::to_string(i * 7);
      return text;
    }();
    options_.data = dir_ / "text.txt";
    options_.steps = 4;
    options_.batch = 4;
    options_.warmup = 2;
    options_.clip = 0.5;
    options_.eval_every = 0;
    options_.eval_batches = 2;
    options_.log_every = 1;
  }

  void train(Device device, const std::string& out, const MakeTask& make_task = gpt) {
    const auto communicator =
        make_communicator({.run_id = "test", .timeout = {}, .device = device});
    std::filesystem::create_directories(out);
    TrainReport report({.task = "gpt",
                        .precision = options_.precision,
                        .out = out,
                        .run_id = "t",
                        .log_every = options_.log_every},
                       {}, *communicator);
    const auto task = make_task(options_);
    Trainer trainer(*task, options_, out, *communicator, report);
    trainer.run();
  }

  static std::vector<nlohmann::json> lines(const std::string& out) {
    std::ifstream file(out + "/metrics.jsonl");
    std::vector<nlohmann::json> lines;
    for (std::string line; std::getline(file, line);) lines.push_back(nlohmann::json::parse(line));
    return lines;
  }

  /// Both devices report the same steps, with numbers that differ relatively by at most this.
  void expect_alike(double tolerance, const MakeTask& make_task = gpt) {
    train({}, dir_ / "cpu", make_task);
    train(kGpu, dir_ / "gpu", make_task);
    const auto cpu = lines(dir_ / "cpu"), gpu = lines(dir_ / "gpu");
    ASSERT_EQ(gpu.size(), cpu.size());
    for (size_t i = 0; i < cpu.size(); ++i) {
      for (const char* name : {"step", "loss", "grad_norm", "learning_rate", "val_loss"}) {
        ASSERT_EQ(gpu[i].contains(name), cpu[i].contains(name)) << i << " " << name;
        if (!cpu[i].contains(name)) continue;
        const double want = cpu[i][name];
        EXPECT_NEAR(gpu[i][name], want, tolerance * std::abs(want)) << i << " " << name;
      }
    }
  }

  /// Kernel launches of `steps` steps, replayed ones not counted.
  int64_t launches_of(int64_t steps) {
    options_.steps = steps;
    const int before = testing::fake().call_count("launch_kernel");
    train(kGpu, dir_ / concat("launches-", steps));
    return testing::fake().call_count("launch_kernel") - before;
  }

  /// What the host waited for: as the library counts it, and by the entry points that were called.
  struct Waits {
    int64_t counted, streams, events;
  };
  static Waits waits_so_far() {
    return {cuda::sync_count(), testing::fake().call_count("stream_synchronize"),
            testing::fake().call_count("event_synchronize")};
  }
  Waits waits_of(int64_t steps, int64_t accumulate, const std::string& precision) {
    options_.steps = steps;
    options_.accumulate = accumulate;
    options_.precision = precision;
    const Waits before = waits_so_far();
    train(kGpu, dir_ / concat("waits-", steps, "-", accumulate, "-", precision));
    const Waits now = waits_so_far();
    return {now.counted - before.counted, now.streams - before.streams, now.events - before.events};
  }

  /// A step waits for no stream, and for the copies of its losses and norm alone.
  void expect_no_waits_in_steps(int64_t few_steps, int64_t many_steps, int64_t accumulate,
                                const std::string& precision) {
    SCOPED_TRACE(concat(precision, " in ", accumulate, " parts"));
    const Waits few = waits_of(few_steps, accumulate, precision),
                many = waits_of(many_steps, accumulate, precision);
    EXPECT_GT(few.counted, 0) << "validation and checkpoint wait, or nobody counts";
    EXPECT_GT(few.streams, 0);
    EXPECT_EQ(many.counted, few.counted);
    EXPECT_EQ(many.streams, few.streams);
    constexpr int64_t kReadsOfNorm = 3;
    EXPECT_EQ(many.events - few.events, (many_steps - few_steps) * (accumulate + kReadsOfNorm));
  }

  TempDir dir_;
  TrainOptions options_;
};

TEST_F(TrainingOnEmulatedGpu, GivesTheCpusLosses) { expect_alike(1e-5); }

TEST_F(TrainingOnEmulatedGpu, GivesTheCpusLossesInMicroBatches) {
  options_.accumulate = 2;
  options_.eval_every = 2;
  expect_alike(1e-5);
}

TEST_F(TrainingOnEmulatedGpu, GivesTheCpusLossesInBf16) {
  options_.precision = "bf16";
  expect_alike(2e-2);
}

TEST_F(TrainingOnEmulatedGpu, GivesTheCpusLossesInF16WithItsLossScale) {
  options_.precision = "f16";
  expect_alike(5e-3);
}

TEST_F(TrainingOnEmulatedGpu, TrainsALlama) { expect_alike(1e-5, llama); }

TEST_F(TrainingOnEmulatedGpu, TrainsALlamaInBf16) {
  options_.precision = "bf16";
  expect_alike(2e-2, llama);
}

TEST_F(TrainingOnEmulatedGpu, TrainsAResidualNetwork) {
  const std::string images = dir_ / "images";
  std::filesystem::create_directory(images);
  std::string pixels, labels;
  for (int i = 0; i < 30 * 64; ++i) pixels += static_cast<char>(i * 37 % 251);
  for (int i = 0; i < 30; ++i) labels += static_cast<char>(i % 3);
  std::ofstream(images + "/train-images-idx3-ubyte") << testing::idx_bytes({30, 8, 8}, pixels);
  std::ofstream(images + "/train-labels-idx1-ubyte") << testing::idx_bytes({30}, labels);
  options_.data = images;
  options_.steps = 3;
  expect_alike(1e-4, [](const TrainOptions& options) {
    return make_resnet_task(options, {.width = 4, .images = {.crop_padding = 1}});
  });
}

TEST_F(TrainingOnEmulatedGpu, TrainsARecurrentNetwork) {
  const auto lstm = [](const TrainOptions& options) {
    return make_lstm_task(options, {.layers = 2, .dim = 16, .context = 8, .text = {.sample = 1}});
  };
  expect_alike(1e-5, lstm);
}

TEST_F(TrainingOnEmulatedGpu, TrainsARecurrentNetworkInBf16) {
  options_.precision = "bf16";
  expect_alike(2e-2, [](const TrainOptions& options) {
    return make_lstm_task(options, {.layers = 1, .dim = 16, .context = 8});
  });
}

TEST_F(TrainingOnEmulatedGpu, ComputesBlocksAgainWithTheSameBits) {
  options_.steps = 7;  // a step that is captured is taken a few times before
  for (const char* precision : {"f32", "bf16"}) {
    for (const bool replayed : {false, true}) {
      options_.precision = precision;
      options_.cuda_graph = replayed;
      std::vector<std::vector<double>> runs;
      for (const bool recompute : {false, true}) {
        const std::string out = dir_ / concat("again-", precision, replayed, recompute);
        train(kGpu, out, [recompute](const TrainOptions& options) {
          return make_gpt_task(options, {.size = "",
                                         .layers = 3,
                                         .heads = 2,
                                         .dim = 16,
                                         .context = 8,
                                         .recompute_blocks = recompute});
        });
        auto& numbers = runs.emplace_back();
        for (const auto& line : lines(out)) {
          for (const char* name : {"loss", "grad_norm", "val_loss"}) {
            if (line.contains(name)) numbers.push_back(line[name]);
          }
        }
      }
      EXPECT_GE(runs[0].size(), 15u);
      EXPECT_EQ(runs[1], runs[0]) << precision << (replayed ? ", replayed" : "");
    }
  }
}

TEST_F(TrainingOnEmulatedGpu, WaitsForTheDeviceInNoStep) {
  for (const char* precision : {"f32", "bf16", "f16"}) {
    expect_no_waits_in_steps(2, 5, 1, precision);
    expect_no_waits_in_steps(2, 5, 2, precision);
  }
}

class ReplayedTraining : public TrainingOnEmulatedGpu {
 protected:
  ReplayedTraining() {
    options_.cuda_graph = true;
    options_.steps = 7;
  }

  void expect_as_step_by_step(const std::string& run, const MakeTask& make_task = gpt) {
    SCOPED_TRACE(run);
    options_.cuda_graph = true;
    train(kGpu, dir_ / ("replayed-" + run), make_task);
    options_.cuda_graph = false;
    train(kGpu, dir_ / ("queued-" + run), make_task);
    const auto replayed = lines(dir_ / ("replayed-" + run)),
               queued = lines(dir_ / ("queued-" + run));
    ASSERT_EQ(replayed.size(), queued.size());
    for (size_t i = 0; i < queued.size(); ++i) {
      for (const char* name : {"loss", "grad_norm", "loss_scale", "skipped_steps", "val_loss"}) {
        EXPECT_EQ(replayed[i].value(name, nlohmann::json()),
                  queued[i].value(name, nlohmann::json()))
            << i << " " << name;
      }
    }
  }
};

TEST_F(ReplayedTraining, GivesTheNumbersOfStepByStep) {
  options_.eval_every = 5;
  for (const char* precision : {"f32", "bf16", "f16", "bf16-pure"}) {
    options_.precision = precision;
    for (const int64_t accumulate : {1, 2}) {
      options_.accumulate = accumulate;
      expect_as_step_by_step(concat(precision, "-", accumulate));
    }
  }
}

TEST_F(ReplayedTraining, ReplaysALlama) { expect_as_step_by_step("llama", llama); }

// Gradients overflow until the scale has fallen far enough, beyond the first replays.
TEST_F(ReplayedTraining, IsCapturedAnewWhenTheLossScaleChanges) {
  options_.precision = "f16";
  options_.steps = 12;
  expect_as_step_by_step("overflow", [](const TrainOptions& options) {
    return std::make_unique<ChangedTask>(options, [](const Tensor& loss) { return loss * 256.0; });
  });
  const auto steps = lines(dir_ / "replayed-overflow");
  EXPECT_GT(steps[5]["skipped_steps"], steps[3]["skipped_steps"]) << "the first replay is step 4";
  EXPECT_EQ(steps[11]["skipped_steps"], steps[9]["skipped_steps"]);
  EXPECT_LT(steps[11]["loss"], steps[0]["loss"]);
}

TEST_F(ReplayedTraining, LaunchesNothingButTheBatchAndWaitsForNothingInAStep) {
  EXPECT_LE(launches_of(9) - launches_of(5), 4 * 2);
  expect_no_waits_in_steps(5, 9, 1, "f32");
}

TEST_F(ReplayedTraining, RefusesDropout) {
  const MakeTask with_dropout = [](const TrainOptions& options) {
    return make_gpt_task(
        options, {.size = "", .layers = 1, .heads = 2, .dim = 16, .context = 8, .dropout = 0.1});
  };
  EXPECT_THAT([&] { train(kGpu, dir_ / "dropout", with_dropout); },
              ThrowsMessage<Error>(HasSubstr("leave dropout out of it")));
}

// The host waits for step n when it has queued the forward pass of step n + 1, except for the last.
TEST_F(TrainingOnEmulatedGpu, ReadsAStepWhenTheNextIsQueued) {
  int forwards = 0;
  const auto waits_at = [&](const char* precision) {
    std::set<int> at;
    forwards = 0;
    options_.precision = precision;
    testing::fake().on_event_synchronize = [&] {
      if (forwards > 0) at.insert(forwards);
    };
    train(kGpu, dir_ / precision, [&](const TrainOptions& options) {
      return std::make_unique<ChangedTask>(options, [&](const Tensor& loss) {
        ++forwards;
        return loss;
      });
    });
    testing::fake().on_event_synchronize = nullptr;
    return at;
  };
  EXPECT_EQ(waits_at("f32"), (std::set<int>{2, 3, 4}));
  EXPECT_EQ(waits_at("f16"), (std::set<int>{2, 3, 4}));
}

TEST_F(TrainingOnEmulatedGpu, ResumesWhereTheCpuStopped) {
  options_.steps = 3;
  options_.schedule = "constant";
  train({}, dir_ / "moved");
  options_.steps = 6;
  train(kGpu, dir_ / "moved");
  train({}, dir_ / "whole");
  EXPECT_NEAR(lines(dir_ / "moved").back()["val_loss"], lines(dir_ / "whole").back()["val_loss"],
              1e-4);
}

TEST_F(TrainingOnEmulatedGpu, NamesTheStepWhoseGradientsAreNotFiniteThoughItIsReadLate) {
  options_.lr = 1e30;
  options_.warmup = 0;
  const auto failure_on = [&](Device device, const std::string& out) -> std::string {
    try {
      train(device, out);
    } catch (const Error& error) {
      return error.what();
    }
    return "nothing was thrown";
  };
  const std::string cpu = failure_on({}, dir_ / "cpu"), gpu = failure_on(kGpu, dir_ / "gpu");
  EXPECT_NE(cpu.find("gradients are not finite at step 2"), std::string::npos) << cpu;
  EXPECT_EQ(gpu, cpu);
}

TEST_F(TrainingOnEmulatedGpu, ReportsTheDevicesMemory) {
  reset_peak_memory(kGpu);
  train(kGpu, dir_ / "gpu");
  nlohmann::json summary;
  std::ifstream(dir_ / "gpu/summary.json") >> summary;
  EXPECT_EQ(summary["peak_memory_bytes"], memory_stats(kGpu).peak_allocated_bytes);
  EXPECT_GT(memory_stats(kGpu).peak_allocated_bytes, 0);
}

}  // namespace
}  // namespace trireme
