#include "core/data/folder_dataset.h"

#include <utility>

#include "core/base/error.h"
#include "core/base/philox.h"
#include "core/data/decode_image.h"
#include "core/data/image_crop.h"
#include "core/tensor/create.h"

namespace trireme {
namespace {

// Keeps the numbers apart from those that weights and samplers draw from the same run seed.
constexpr uint64_t kFolderStream = 0x464F4C444552;
constexpr int64_t kChannels = 3;

// Of the images of ILSVRC 2012, as used with nearly every published model.
PixelMoments imagenet_moments() { return {{0.485, 0.456, 0.406}, {0.229, 0.224, 0.225}}; }

// A stream of its own for every sample of every step.
Generator generator_of(uint64_t seed, int64_t step, int64_t index) {
  const auto words = philox(seed ^ kFolderStream,
                            static_cast<uint64_t>(step) << 32 | static_cast<uint64_t>(index));
  return Generator(uint64_t{words[1]} << 32 | words[0]);
}

void standardise(const RgbImage& image, bool mirrored, const std::vector<PixelValues>& values,
                 float* to) {
  for (int64_t r = 0; r < image.rows; ++r) {
    for (int64_t c = 0; c < image.cols; ++c, to += kChannels) {
      const uint8_t* pixel = image.row(r) + (mirrored ? image.cols - 1 - c : c) * kChannels;
      for (size_t k = 0; k < kChannels; ++k) to[k] = values[k][pixel[k]];
    }
  }
}

}  // namespace

struct FolderDataset::View {
  RgbImage image;
  bool mirrored;
};

FolderDataset::FolderDataset(ImageList images, const FolderTransform& transform)
    : images_(std::move(images)),
      transform_(transform),
      value_of_pixel_(pixel_values(imagenet_moments())) {
  require(transform.side >= 1, "folder_dataset", "the image size must be at least 1, got ",
          transform.side);
  require(transform.crop_area > 0 && transform.crop_area <= 1, "folder_dataset",
          "the crop area must lie in (0, 1], got ", transform.crop_area);
}

Batch FolderDataset::allocate(int64_t count) const {
  const int64_t side = transform_.side;
  return {empty({count, side, side, kChannels}), empty({count}, {DType::kI64}), count, 0};
}

FolderDataset::View FolderDataset::view_of(int64_t index, int64_t step) const {
  const auto& [side, crop_area, mirror, seed] = transform_;
  const bool whole = crop_area == 1;
  const RgbImage image = read_image(images_.path(index));
  const auto middle = [&] {
    return center_crop(image.rows, image.cols, side, whole ? side : side * 8 / 7);
  };
  if (step == kUnchanged) return {resample(image, middle()), false};
  Generator random = generator_of(seed, step, index);
  const bool mirrored = mirror && (random.next_u64() & 1) != 0;
  return {resample(image,
                   whole ? middle() : random_crop(image.rows, image.cols, side, crop_area, random)),
          mirrored};
}

void FolderDataset::fill(const Batch& batch, int64_t place, int64_t index, int64_t step) const {
  require(index >= 0 && index < size(), "folder_dataset", "index must lie in [0, ", size(),
          "), got ", index);
  const View view = view_of(index, step);
  const int64_t values = transform_.side * transform_.side * kChannels;
  standardise(view.image, view.mirrored, value_of_pixel_,
              batch.inputs.data<float>() + place * values);
  batch.targets.data<int64_t>()[place] = images_.labels[static_cast<size_t>(index)];
}

}  // namespace trireme
