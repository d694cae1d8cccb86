#include "core/data/image_data.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/base/error.h"
#include "core/base/philox.h"
#include "core/tensor/create.h"

namespace trireme {
namespace {

// Keeps the numbers apart from those that weights and samplers draw from the same run seed.
constexpr uint64_t kAugmentationStream = 0x494D41474553;

}  // namespace

ImageDataset::ImageDataset(std::shared_ptr<const LabelledImages> images, int64_t begin, int64_t end)
    : images_(std::move(images)), begin_(begin), end_(end) {
  require(0 <= begin && begin <= end && end <= images_->count(), "image_dataset", "range [", begin,
          ", ", end, ") leaves the ", images_->count(), " images");
  const auto channels = static_cast<size_t>(images_->channels);
  standardize_with({std::vector<double>(channels, 0), std::vector<double>(channels, 1)});
}

void ImageDataset::standardize_with(const Moments& moments) {
  value_of_pixel_.resize(static_cast<size_t>(channels()));
  for (size_t c = 0; c < value_of_pixel_.size(); ++c) {
    const double scale = moments.deviation[c] > 0 ? 1 / moments.deviation[c] : 1;
    for (int p = 0; p < 256; ++p) {
      value_of_pixel_[c][static_cast<size_t>(p)] =
          static_cast<float>((p / 255.0 - moments.mean[c]) * scale);
    }
  }
}

ImageDataset::Moments ImageDataset::pixel_moments() const {
  // Counting is exact, so every rank gets the same bits.
  std::vector<std::array<int64_t, 256>> seen(static_cast<size_t>(channels()));
  const int64_t bytes = images_->bytes_per_image();
  const uint8_t* pixel = images_->pixels.data() + begin_ * bytes;
  for (int64_t i = 0; i < size() * rows() * cols(); ++i) {
    for (auto& counts : seen) ++counts[*pixel++];
  }
  Moments moments;
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

template <typename PlacementOf>
Batch ImageDataset::gather(std::span<const int64_t> indices,
                           const PlacementOf& placement_of_index) const {
  if (indices.empty()) return {};
  const auto batch = static_cast<int64_t>(indices.size());
  Batch out{empty({batch, rows(), cols(), channels()}), empty({batch}, {DType::kI64}), batch, 0};
  float* inputs = out.inputs.data<float>();
  int64_t* targets = out.targets.data<int64_t>();
  for (const int64_t i : indices) {
    require(i >= 0 && i < size(), "image_dataset", "index must lie in [0, ", size(), "), got ", i);
    copy_image(i, placement_of_index(i), inputs);
    inputs += images_->bytes_per_image();
    *targets++ = images_->labels[static_cast<size_t>(begin_ + i)];
  }
  return out;
}

Batch ImageDataset::collate(std::span<const int64_t> indices) const {
  return gather(indices, [](int64_t) { return Placement{}; });
}

Batch ImageDataset::collate_for_step(std::span<const int64_t> indices, int64_t step) const {
  return gather(indices, [&](int64_t i) { return placement_of(i, step); });
}

}  // namespace trireme
