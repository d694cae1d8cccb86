// Finds the images of a directory: IDX pairs (MNIST), CIFAR-10 binary batches, or folders of PNG
// and JPEG files.

#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/data/image_data.h"

namespace trireme {

/// What is made of the images. 0: the usual value; any other, where it does not apply, is refused.
struct ImageOptions {
  int64_t crop_padding = 0;     // IDX and CIFAR-10, see Augmentation
  int64_t image_size = 0;       // folders: rows and columns of what the model gets; usually 224
  double crop_area = 0;         // folders, see FolderTransform; usually 0.08
  double validation_share = 0;  // folders without parts, see list_image_folders; usually 0.2
  bool mirror = false;          // left and right exchanged in half of the training images
  uint64_t seed = 0;            // of the random changes
};

struct ImageSplit {
  std::shared_ptr<const Dataset> train;  // changed at random in training steps
  std::shared_ptr<const Dataset> test;
  int64_t rows = 0, cols = 0, channels = 0;  // of an image in a batch
  int64_t classes = 0;                       // labels lie in [0, classes)
  std::string changes = {};                  // of training images, as flags: "--crop 4 --mirror"
};

/// Both parts of the images in `directory`, standardised. Throws DataError when there are none,
/// when they do not fit together, or a part is empty, and InvalidArgument for options that do not
/// apply.
///
/// Arrays (IDX, CIFAR-10) are read at once and standardised with the moments of the training part.
///
/// IDX: `<part>images-idx3-ubyte` and `<part>labels-idx1-ubyte` (also with .gz). With a train- and
/// a t10k- (or test-) pair those are the two parts; with one pair, the first 80 % of its images are
/// for training and the rest for testing.
///
/// CIFAR-10 binary: data_batch_1.bin ... data_batch_5.bin (those that are there) for training and
/// test_batch.bin for testing.
///
/// Folders: where there are none of these files but folders, see list_image_folders and
/// FolderDataset. Only the list of files is read here.
ImageSplit open_images(const std::string& directory, const ImageOptions& options = {});

}  // namespace trireme
