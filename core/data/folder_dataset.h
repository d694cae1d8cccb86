// Images in PNG and JPEG files, decoded when a batch needs them.

#pragma once

#include <cstdint>
#include <vector>

#include "core/data/dataset.h"
#include "core/data/image_folder.h"
#include "core/data/pixel_values.h"
#include "core/data/rgb_image.h"

namespace trireme {

struct FolderTransform {
  int64_t side = 224;  // rows and columns of what the model gets
  /// Least share of an image's area that a random crop takes; with 1 no crop is random, and
  /// training sees what testing sees.
  double crop_area = 0.08;
  bool mirror = false;  // left and right exchanged in half of the training images
  uint64_t seed = 0;
};

/// Batches: inputs f32 [batch, side, side, 3], targets i64 [batch]. Pixels are standardised with
/// the mean and deviation of ImageNet's colours, which models trained elsewhere expect.
///
/// For a training step an image is cropped at random (random_crop) and mirrored; otherwise its
/// middle is taken: shorter side scaled to 8/7 side, as 256 is to 224 (to side, if crop_area is 1),
/// and side x side pixels cut out. The random numbers of a sample depend on seed, step and sample
/// only. Files are read each time they are needed.
class FolderDataset final : public Dataset {
 public:
  /// Requires side >= 1 and 0 < crop_area <= 1.
  FolderDataset(ImageList images, const FolderTransform& transform);

  int64_t size() const override { return images_.count(); }
  Batch allocate(int64_t count) const override;
  /// A DataError names the file.
  void fill(const Batch& batch, int64_t place, int64_t index, int64_t step) const override;

 private:
  struct View;  // the pixels of a sample, and whether they are mirrored
  View view_of(int64_t index, int64_t step) const;

  ImageList images_;
  FolderTransform transform_;
  std::vector<PixelValues> value_of_pixel_;  // by channel
};

}  // namespace trireme
