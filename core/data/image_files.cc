#include "core/data/image_files.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <utility>

#include "core/base/error.h"
#include "core/data/cifar.h"
#include "core/data/idx.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

template <typename... Parts>
[[noreturn]] void refuse(const Parts&... parts) {
  throw DataError(concat("open_images: ", parts...));
}

struct Pair {
  std::string images, labels;  // paths
};

// "train-images-idx3-ubyte.gz" with kind "images-idx3-ubyte" gives "train-".
bool match(std::string name, const std::string& kind, std::string* part) {
  if (name.ends_with(".gz")) name.resize(name.size() - 3);
  std::replace(name.begin(), name.end(), '.', '-');  // "images.idx3-ubyte" is common too
  if (!name.ends_with(kind)) return false;
  *part = name.substr(0, name.size() - kind.size());
  return true;
}

std::map<std::string, Pair> find_pairs(const std::string& directory) {
  std::map<std::string, Pair> pairs;
  std::error_code error;
  const fs::directory_iterator entries(directory, error);
  if (error) refuse("cannot read the directory ", directory, ", ", error.message());
  for (const fs::directory_entry& entry : entries) {
    const std::string path = entry.path().string(), name = entry.path().filename().string();
    std::string part;
    // Of a file that is there twice, the uncompressed one is taken whatever the listing's order.
    const auto take = [&](std::string& slot) {
      if (slot.empty() || slot.ends_with(".gz")) slot = path;
    };
    if (match(name, "images-idx3-ubyte", &part)) take(pairs[part].images);
    if (match(name, "labels-idx1-ubyte", &part)) take(pairs[part].labels);
  }
  std::erase_if(pairs,
                [](const auto& p) { return p.second.images.empty() || p.second.labels.empty(); });
  return pairs;
}

using Images = std::shared_ptr<const LabelledImages>;

Images read_pair(const Pair& pair) {
  IdxArray images = read_idx(pair.images), labels = read_idx(pair.labels);
  if (images.dims.size() != 3) {
    refuse("images must have dimensions [count, rows, cols], got ", images.dims.size(),
           " dimensions in ", pair.images);
  }
  if (labels.dims.size() != 1) {
    refuse("labels must have one dimension, got ", labels.dims.size(), " in ", pair.labels);
  }
  if (images.dims[0] != labels.dims[0]) {
    refuse("every image needs a label, got ", images.dims[0], " images in ", pair.images, " and ",
           labels.dims[0], " labels in ", pair.labels);
  }
  return std::make_shared<const LabelledImages>(LabelledImages{.pixels = std::move(images.values),
                                                               .labels = std::move(labels.values),
                                                               .rows = images.dims[1],
                                                               .cols = images.dims[2]});
}

ImageSplit make_split(const std::string& directory, std::shared_ptr<ImageDataset> train,
                      std::shared_ptr<ImageDataset> test, int64_t classes) {
  if (train->size() == 0 || test->size() == 0) {
    refuse("both parts need images, got ", train->size(), " to train and ", test->size(),
           " to test in ", directory);
  }
  if (train->rows() != test->rows() || train->cols() != test->cols()) {
    refuse("both parts need images of one size, got ", train->rows(), " x ", train->cols(),
           " to train and ", test->rows(), " x ", test->cols(), " to test in ", directory);
  }
  const ImageDataset::Moments moments = train->pixel_moments();
  train->standardize_with(moments);
  test->standardize_with(moments);
  return {std::move(train), std::move(test), classes};
}

int64_t classes_of(const LabelledImages& images) {
  const auto largest = std::max_element(images.labels.begin(), images.labels.end());
  return largest == images.labels.end() ? 0 : *largest + 1;
}

ImageSplit published_split(const std::string& directory, const Images& train, const Images& test) {
  return make_split(directory, std::make_shared<ImageDataset>(train, 0, train->count()),
                    std::make_shared<ImageDataset>(test, 0, test->count()),
                    std::max(classes_of(*train), classes_of(*test)));
}

}  // namespace

ImageSplit open_images(const std::string& directory) {
  const std::map<std::string, Pair> pairs = find_pairs(directory);
  if (pairs.empty() && has_cifar10(directory)) {
    return published_split(directory, read_cifar10(directory, ImagePart::kTraining),
                           read_cifar10(directory, ImagePart::kTest));
  }
  const auto train = pairs.find("train-");
  const auto test = pairs.contains("t10k-") ? pairs.find("t10k-") : pairs.find("test-");
  if (train != pairs.end() && test != pairs.end()) {
    return published_split(directory, read_pair(train->second), read_pair(test->second));
  }
  if (pairs.size() != 1) {
    refuse("needs a pair *images-idx3-ubyte[.gz] and *labels-idx1-ubyte[.gz], a train- and a ",
           "t10k- pair, or CIFAR-10's *_batch*.bin, got ", pairs.size(), " pairs in ", directory);
  }
  const Images all = read_pair(pairs.begin()->second);
  const int64_t boundary = all->count() * 8 / 10;
  return make_split(directory, std::make_shared<ImageDataset>(all, 0, boundary),
                    std::make_shared<ImageDataset>(all, boundary, all->count()), classes_of(*all));
}

}  // namespace trireme
