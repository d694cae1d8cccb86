#include "core/data/cifar.h"

#include <filesystem>

#include "core/base/error.h"
#include "core/base/mapped_file.h"

namespace trireme {
namespace {

constexpr int64_t kSide = 32, kPlane = kSide * kSide, kChannels = 3;
constexpr int64_t kRecord = 1 + kChannels * kPlane;
constexpr int kTrainingFiles = 5;
constexpr int kClasses = 10;

std::string training_file(const std::string& directory, int number) {
  return directory + "/data_batch_" + std::to_string(number) + ".bin";
}
std::string test_file(const std::string& directory) { return directory + "/test_batch.bin"; }

void append(const std::string& path, LabelledImages& images) {
  const MappedFile file(path, MappedFile::Access::kReadOnly, "read_cifar10");
  const auto size = static_cast<int64_t>(file.size_bytes());
  if (size == 0 || size % kRecord != 0) {
    throw DataError(concat("read_cifar10: the size must be a multiple of ", kRecord, ", got ", size,
                           " bytes in ", path));
  }
  for (int64_t record = 0; record < size / kRecord; ++record) {
    const auto* from = reinterpret_cast<const uint8_t*>(file.data()) + record * kRecord;
    if (*from >= kClasses) {
      throw DataError(concat("read_cifar10: labels must be below ", kClasses, ", got ", int{*from},
                             " in record ", record, " of ", path));
    }
    images.labels.push_back(*from++);
    for (int64_t pixel = 0; pixel < kPlane; ++pixel) {
      for (int64_t c = 0; c < kChannels; ++c) images.pixels.push_back(from[c * kPlane + pixel]);
    }
  }
}

}  // namespace

bool has_cifar10(const std::string& directory) {
  std::error_code ignored;
  return std::filesystem::exists(training_file(directory, 1), ignored) &&
         std::filesystem::exists(test_file(directory), ignored);
}

std::shared_ptr<const LabelledImages> read_cifar10(const std::string& directory, ImagePart part) {
  auto images = std::make_shared<LabelledImages>();
  images->rows = images->cols = kSide;
  images->channels = kChannels;
  if (part == ImagePart::kTest) {
    append(test_file(directory), *images);
    return images;
  }
  for (int number = 1; number <= kTrainingFiles; ++number) {
    const std::string path = training_file(directory, number);
    if (std::filesystem::exists(path)) append(path, *images);
  }
  return images;
}

}  // namespace trireme
