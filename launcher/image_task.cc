#include "launcher/image_task.h"

#include "core/autograd/no_grad.h"
#include "core/checkpoint/load_state.h"
#include "core/checkpoint/safetensors.h"
#include "core/ops/ops.h"
#include "launcher/named_input.h"
#include "launcher/precision.h"

namespace trireme {

ImageTask::ImageTask(const TrainOptions& options, ImageOptions images)
    : images_(read_named_input("--data",
                               [&] {
                                 images.seed = static_cast<uint64_t>(options.seed);
                                 return open_images(options.data, images);
                               })),
      dtype_(parse_precision(options.precision).parameters),
      generator_(static_cast<uint64_t>(options.seed)),
      data_(options.data) {}

void ImageTask::load_initial_weights(const TrainOptions& options) {
  if (options.init_from.empty()) return;
  read_named_input("--init-from", [&] {
    load_state(model().state_dict(), load_safetensors(options.init_from).tensors,
               Strictness::kExact, options.init_from);
  });
}

std::string ImageTask::description() const {
  const std::string changed = augmentation();
  return concat(model_description(), "; data ", data_, ", ", images_.train->size(),
                " images to train", changed.empty() ? "" : " (" + changed + ")", " and ",
                images_.test->size(), " to test, ", images_.classes, " classes");
}

std::shared_ptr<const Sampler> ImageTask::training_sampler(int64_t global_batch, uint64_t seed,
                                                           Shard shard) const {
  return std::make_shared<PermutationSampler>(images_.train->size(), global_batch, seed, shard);
}

Tensor ImageTask::loss(const Batch& batch) {
  return cross_entropy(forward(to(batch.inputs, dtype_)), batch.targets);
}

TrainingTask::Evaluation ImageTask::evaluate(const Batch& batch) {
  NoGrad no_grad;
  const Tensor logits = forward(to(batch.inputs, dtype_));
  const double mean = cross_entropy(logits, batch.targets).item();
  const Tensor hits = equal(argmax(logits, -1), batch.targets);
  return {.loss_sum = mean * static_cast<double>(batch.samples),
          .correct = static_cast<int64_t>(sum(to(hits, DType::kI64)).item())};
}

}  // namespace trireme
