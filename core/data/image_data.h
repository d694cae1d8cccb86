// Labelled images for classifiers, standardised and, for training, cropped and mirrored at random.

#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/data/dataset.h"
#include "core/data/pixel_values.h"

namespace trireme {

/// Bytes of images and their labels, as files hold them. pixels: [count, rows, cols, channels].
struct LabelledImages {
  std::vector<uint8_t> pixels;
  std::vector<uint8_t> labels;
  int64_t rows = 0, cols = 0, channels = 1;

  int64_t count() const { return static_cast<int64_t>(labels.size()); }
  int64_t bytes_per_image() const { return rows * cols * channels; }
};

/// Random changes of training images. The numbers of a sample depend on seed, step and sample only:
/// any number of ranks and threads sees the same images, and so does a resumed run.
struct Augmentation {
  int64_t crop_padding = 0;  // shifts by up to this many pixels each way; black moves in
  bool mirror = false;       // left and right exchanged in half of the images
  uint64_t seed = 0;
};

/// Images [begin, end) of an array. Batches: inputs f32 [batch, rows, cols, channels], targets i64
/// [batch]. A pixel p of channel c becomes (p / 255 - mean[c]) / deviation[c], with the moments of
/// the *training* part (a channel of one single value is only centred).
class ImageDataset final : public Dataset {
 public:
  /// Requires 0 <= begin <= end <= images->count().
  ImageDataset(std::shared_ptr<const LabelledImages> images, int64_t begin, int64_t end);

  int64_t size() const override { return end_ - begin_; }
  int64_t rows() const { return images_->rows; }
  int64_t cols() const { return images_->cols; }
  int64_t channels() const { return images_->channels; }
  Batch allocate(int64_t count) const override;
  void fill(const Batch& batch, int64_t place, int64_t index, int64_t step) const override;
  int64_t grain() const override;

  /// One pass over the images.
  PixelMoments pixel_moments() const;
  void standardize_with(const PixelMoments& moments);
  void augment_with(Augmentation augmentation) { augmentation_ = augmentation; }

 private:
  /// Where one image is read from: output (r, c) is input (r + down, c + right), columns counted
  /// from the other side if mirrored.
  struct Placement {
    int64_t down = 0, right = 0;
    bool mirrored = false;
  };
  Placement placement_of(int64_t index, int64_t step) const;
  void copy_image(int64_t index, Placement placement, float* to) const;

  std::shared_ptr<const LabelledImages> images_;
  int64_t begin_, end_;
  std::vector<PixelValues> value_of_pixel_;  // per channel
  Augmentation augmentation_;
};

}  // namespace trireme
