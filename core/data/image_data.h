// Labelled grey-scale images for classifiers, from a directory of IDX files.

#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "core/data/dataset.h"
#include "core/data/idx.h"

namespace trireme {

/// Images [begin, end) of a file pair. Batches: inputs f32 [batch, 1, rows, cols], targets i64
/// [batch]. A pixel p becomes (p / 255 - mean) / deviation, with mean and deviation over all pixels
/// of the *training* part (a training part of one single value is only centred).
class ImageDataset final : public Dataset {
 public:
  /// images: dims [count, rows, cols]. labels: dims [count].
  ImageDataset(std::shared_ptr<const IdxArray> images, std::shared_ptr<const IdxArray> labels,
               int64_t begin, int64_t end);

  int64_t size() const override { return end_ - begin_; }
  int64_t rows() const { return images_->dims[1]; }
  int64_t cols() const { return images_->dims[2]; }
  Batch collate(std::span<const int64_t> indices) const override;

  /// Mean and standard deviation of all pixels, each in [0, 1]. One pass over the images.
  struct Moments {
    double mean = 0;
    double deviation = 1;
  };
  Moments pixel_moments() const;
  void standardize_with(Moments moments);

 private:
  std::shared_ptr<const IdxArray> images_;
  std::shared_ptr<const IdxArray> labels_;
  int64_t begin_, end_;
  std::array<float, 256> value_of_pixel_;
};

struct ImageSplit {
  std::shared_ptr<const ImageDataset> train;
  std::shared_ptr<const ImageDataset> test;
  int64_t classes = 0;  // largest label of both parts + 1
};

/// Finds `<part>images-idx3-ubyte` and `<part>labels-idx1-ubyte` (also with .gz) in `directory`.
/// With a train- and a t10k- (or test-) pair those are the two parts; with one pair, the first 80 %
/// of its images are for training and the rest for testing. Throws DataError when there is no such
/// directory or pair, when images and labels differ in number, or a part is empty.
ImageSplit open_images(const std::string& directory);

}  // namespace trireme
