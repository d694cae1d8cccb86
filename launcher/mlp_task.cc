// trireme-train mlp: a multi-layer perceptron on images.

#include <charconv>

#include "core/models/mlp.h"
#include "launcher/image_task.h"

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
  config.sizes.insert(config.sizes.begin(), images.rows * images.cols * images.channels);
  config.sizes.push_back(images.classes);
  return config;
}

class MlpTask final : public ImageTask {
 public:
  MlpTask(const TrainOptions& options, const MlpOptions& mlp)
      : ImageTask(options, mlp.images),
        model_(config_for(mlp, images_), generator_, {dtype_}),
        hidden_(mlp.hidden) {
    load_initial_weights(options);
  }

  const char* name() const override { return "mlp"; }
  Module& model() override { return model_; }

 private:
  Tensor forward(const Tensor& images) const override { return model_.forward(images); }
  std::string model_description() const override {
    return concat("mlp with ", model_.num_parameters(), " parameters: hidden ", hidden_);
  }

  Mlp model_;
  std::string hidden_;
};

}  // namespace

std::unique_ptr<TrainingTask> make_mlp_task(const TrainOptions& options, const MlpOptions& mlp) {
  return std::make_unique<MlpTask>(options, mlp);
}

}  // namespace trireme
