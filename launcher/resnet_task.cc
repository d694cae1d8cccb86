// trireme-train resnet: a residual network on images.

#include "core/models/resnet.h"
#include "launcher/image_task.h"

namespace trireme {
namespace {

ResNetConfig config_for(const ResNetOptions& o, const ImageSplit& images) {
  ResNetConfig config = resnet_config(o.depth);
  config.in_channels = images.channels;
  config.classes = images.classes;
  config.width = o.width;
  config.stem = o.stem == "imagenet" ? Stem::kImageNet : Stem::kSmall;
  return config;
}

class ResNetTask final : public ImageTask {
 public:
  ResNetTask(const TrainOptions& options, const ResNetOptions& o)
      : ImageTask(options, o.images),
        options_(o),
        model_(config_for(o, images_), generator_, {dtype_}) {
    load_initial_weights(options);
  }

  const char* name() const override { return "resnet"; }
  Module& model() override { return model_; }

 private:
  Tensor forward(const Tensor& images) const override { return model_.forward(images); }
  std::string model_description() const override {
    return concat("resnet", options_.depth, " with ", model_.num_parameters(),
                  " parameters: ", options_.width, " channels wide, ", options_.stem, " stem");
  }

  ResNetOptions options_;
  ResNet model_;
};

}  // namespace

std::unique_ptr<TrainingTask> make_resnet_task(const TrainOptions& options,
                                               const ResNetOptions& resnet) {
  return std::make_unique<ResNetTask>(options, resnet);
}

}  // namespace trireme
