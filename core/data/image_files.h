// Finds and reads the image files of a directory: IDX pairs (MNIST) or CIFAR-10 binary batches.

#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/data/image_data.h"

namespace trireme {

struct ImageSplit {
  std::shared_ptr<ImageDataset> train;
  std::shared_ptr<ImageDataset> test;
  int64_t classes = 0;  // largest label of both parts + 1
};

/// Both parts of the images in `directory`, standardised with the moments of the training part.
/// Throws DataError when there are none, when they do not fit together, or a part is empty.
///
/// IDX: `<part>images-idx3-ubyte` and `<part>labels-idx1-ubyte` (also with .gz). With a train- and
/// a t10k- (or test-) pair those are the two parts; with one pair, the first 80 % of its images are
/// for training and the rest for testing.
///
/// CIFAR-10 binary: data_batch_1.bin ... data_batch_5.bin (those that are there) for training and
/// test_batch.bin for testing.
ImageSplit open_images(const std::string& directory);

}  // namespace trireme
