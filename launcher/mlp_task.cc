// trireme-train mlp: an image classifier on IDX files.

#include <charconv>

#include "core/autograd/no_grad.h"
#include "core/checkpoint/load_state.h"
#include "core/checkpoint/safetensors.h"
#include "core/data/image_files.h"
#include "core/models/mlp.h"
#include "core/ops/ops.h"
#include "launcher/named_input.h"
#include "launcher/training_task.h"

namespace trireme {
namespace {

// "1024,512" -> {1024, 512}
std::vector<int64_t> parse_sizes(const std::string& text) {
  std::vector<int64_t> sizes;
  const char* at = text.data();
  const char* end = at + text.size();
  while (at < end) {
    int64_t size = 0;
    const auto [stop, error] = std::from_chars(at, end, size);
    require(error == std::errc{} && size > 0 && (stop == end || *stop == ','), "mlp",
            "--hidden must be positive sizes separated by commas, got '", text, "'");
    sizes.push_back(size);
    at = stop + (stop < end);
  }
  return sizes;
}

MlpConfig config_for(const MlpOptions& mlp, const ImageSplit& images) {
  MlpConfig config{.sizes = parse_sizes(mlp.hidden), .dropout = mlp.dropout};
  config.sizes.insert(config.sizes.begin(), images.train->rows() * images.train->cols());
  config.sizes.push_back(images.classes);
  return config;
}

class MlpTask final : public TrainingTask {
 public:
  MlpTask(const TrainOptions& options, const MlpOptions& mlp, ImageSplit images)
      : images_(std::move(images)),
        generator_(static_cast<uint64_t>(options.seed)),
        model_(config_for(mlp, images_), generator_),
        hidden_(mlp.hidden),
        data_(options.data) {
    if (!options.init_from.empty()) {
      read_named_input("--init-from", [&] {
        load_state(model_.state_dict(), load_safetensors(options.init_from).tensors,
                   Strictness::kExact, options.init_from);
      });
    }
  }

  const char* name() const override { return "mlp"; }
  std::string description() const override {
    return concat("mlp with ", model_.num_parameters(), " parameters: hidden ", hidden_, "; data ",
                  data_, ", ", images_.train->size(), " images to train and ", images_.test->size(),
                  " to test, ", images_.classes, " classes");
  }
  Module& model() override { return model_; }
  std::shared_ptr<const Dataset> training_data() const override { return images_.train; }
  std::shared_ptr<const Dataset> validation_data() const override { return images_.test; }
  std::shared_ptr<const Sampler> training_sampler(int64_t global_batch, uint64_t seed,
                                                  Shard shard) const override {
    return std::make_shared<PermutationSampler>(images_.train->size(), global_batch, seed, shard);
  }

  Tensor loss(const Batch& batch) override {
    return cross_entropy(model_.forward(batch.inputs), batch.targets);
  }
  Evaluation evaluate(const Batch& batch) override {
    NoGrad no_grad;
    const Tensor logits = model_.forward(batch.inputs);
    const double mean = cross_entropy(logits, batch.targets).item();
    const Tensor hits = equal(argmax(logits, -1), batch.targets);
    return {.loss_sum = mean * static_cast<double>(batch.samples),
            .correct = static_cast<int64_t>(sum(to(hits, DType::kI64)).item())};
  }
  bool is_classifier() const override { return true; }
  std::string sample() override { return ""; }

 private:
  ImageSplit images_;
  Generator generator_;
  Mlp model_;
  std::string hidden_, data_;
};

}  // namespace

std::unique_ptr<TrainingTask> make_mlp_task(const TrainOptions& options, const MlpOptions& mlp) {
  ImageSplit images = read_named_input("--data", [&] { return open_images(options.data); });
  return std::make_unique<MlpTask>(options, mlp, std::move(images));
}

}  // namespace trireme
