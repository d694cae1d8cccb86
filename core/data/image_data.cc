#include "core/data/image_data.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "core/base/error.h"
#include "core/base/philox.h"
#include "core/tensor/create.h"

namespace trireme {
namespace {

// Keeps the numbers apart from those that weights and samplers draw from the same run seed.
constexpr uint64_t kAugmentationStream = 0x494D41474553;
// Pixels that are copied in some ten microseconds.
constexpr int64_t kBytesPerTask = 1 << 14;

}  // namespace

ImageDataset::ImageDataset(std::shared_ptr<const LabelledImages> images, int64_t begin, int64_t end)
    : images_(std::move(images)), begin_(begin), end_(end) {
  require(0 <= begin && begin <= end && end <= images_->count(), "image_dataset", "range [", begin,
          ", ", end, ") leaves the ", images_->count(), " images");
  const auto channels = static_cast<size_t>(images_->channels);
  standardize_with({std::vector<double>(channels, 0), std::vector<double>(channels, 1)});
}

void ImageDataset::standardize_with(const PixelMoments& moments) {
  value_of_pixel_ = pixel_values(moments);
}

PixelMoments ImageDataset::pixel_moments() const {
  // Counting is exact, so every rank gets the same bits.
  std::vector<std::array<int64_t, 256>> seen(static_cast<size_t>(channels()));
  const int64_t bytes = images_->bytes_per_image();
  const uint8_t* pixel = images_->pixels.data() + begin_ * bytes;
  for (int64_t i = 0; i < size() * rows() * cols(); ++i) {
    for (auto& counts : seen) ++counts[*pixel++];
  }
  PixelMoments moments;
  const auto count = static_cast<double>(std::max<int64_t>(size() * rows() * cols(), 1));
  for (const auto& counts : seen) {
    double sum = 0, square_sum = 0;
    for (int p = 0; p < 256; ++p) {
      const auto n = static_cast<double>(counts[static_cast<size_t>(p)]);
      sum += n * p / 255.0;
      square_sum += n * (p / 255.0) * (p / 255.0);
    }
    const double mean = sum / count;
    moments.mean.push_back(mean);
    moments.deviation.push_back(std::sqrt(std::max(square_sum / count - mean * mean, 0.0)));
  }
  return moments;
}

ImageDataset::Placement ImageDataset::placement_of(int64_t index, int64_t step) const {
  const Augmentation& a = augmentation_;
  // One block of the stream per sample and step; a step has far fewer samples than 2^32.
  const auto words = philox(a.seed ^ kAugmentationStream,
                            static_cast<uint64_t>(step) << 32 | static_cast<uint64_t>(index));
  const auto shift = [&](uint32_t word) {
    const auto places = static_cast<uint64_t>(2 * a.crop_padding + 1);
    return static_cast<int64_t>(word * places >> 32) - a.crop_padding;
  };
  return {shift(words[0]), shift(words[1]), a.mirror && (words[2] & 1) != 0};
}

void ImageDataset::copy_image(int64_t index, Placement placement, float* to) const {
  const uint8_t* image = images_->pixels.data() + (begin_ + index) * images_->bytes_per_image();
  const int64_t depth = channels();
  for (int64_t r = 0; r < rows(); ++r) {
    for (int64_t c = 0; c < cols(); ++c, to += depth) {
      const int64_t y = r + placement.down;
      const int64_t x = (placement.mirrored ? cols() - 1 - c : c) + placement.right;
      const bool inside = y >= 0 && y < rows() && x >= 0 && x < cols();
      for (int64_t k = 0; k < depth; ++k) {
        const uint8_t pixel = inside ? image[(y * cols() + x) * depth + k] : 0;
        to[k] = value_of_pixel_[static_cast<size_t>(k)][pixel];
      }
    }
  }
}

int64_t ImageDataset::grain() const {
  return std::max<int64_t>(kBytesPerTask / std::max<int64_t>(images_->bytes_per_image(), 1), 1);
}

Batch ImageDataset::allocate(int64_t count) const {
  return {empty({count, rows(), cols(), channels()}), empty({count}, {DType::kI64}), count, 0};
}

void ImageDataset::fill(const Batch& batch, int64_t place, int64_t index, int64_t step) const {
  require(index >= 0 && index < size(), "image_dataset", "index must lie in [0, ", size(),
          "), got ", index);
  copy_image(index, step == kUnchanged ? Placement{} : placement_of(index, step),
             batch.inputs.data<float>() + place * images_->bytes_per_image());
  batch.targets.data<int64_t>()[place] = images_->labels[static_cast<size_t>(begin_ + index)];
}

}  // namespace trireme
