// CIFAR-10 in its binary form: records of one label byte and 3 x 32 x 32 pixels, plane by plane.

#pragma once

#include <memory>
#include <string>

#include "core/data/image_data.h"

namespace trireme {

enum class ImagePart { kTraining, kTest };

/// True if `directory` holds test_batch.bin and at least data_batch_1.bin.
bool has_cifar10(const std::string& directory);

/// The images of one part with channels last. Throws IoError when a file cannot be read, DataError
/// for a size that is no whole number of records and for a label above 9.
std::shared_ptr<const LabelledImages> read_cifar10(const std::string& directory, ImagePart part);

}  // namespace trireme
