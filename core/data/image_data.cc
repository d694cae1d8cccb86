#include "core/data/image_data.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <utility>

#include "core/base/error.h"
#include "core/tensor/create.h"

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

struct Arrays {
  std::shared_ptr<const IdxArray> images, labels;
  int64_t count() const { return labels->dims[0]; }
};

Arrays read_pair(const Pair& pair) {
  auto images = std::make_shared<const IdxArray>(read_idx(pair.images));
  auto labels = std::make_shared<const IdxArray>(read_idx(pair.labels));
  if (images->dims.size() != 3) {
    refuse("images must have dimensions [count, rows, cols], got ", images->dims.size(),
           " dimensions in ", pair.images);
  }
  if (labels->dims.size() != 1) {
    refuse("labels must have one dimension, got ", labels->dims.size(), " in ", pair.labels);
  }
  if (images->dims[0] != labels->dims[0]) {
    refuse("every image needs a label, got ", images->dims[0], " images in ", pair.images, " and ",
           labels->dims[0], " labels in ", pair.labels);
  }
  return {images, labels};
}

ImageSplit make_split(const std::string& directory, std::shared_ptr<ImageDataset> train,
                      std::shared_ptr<ImageDataset> test) {
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
  return {std::move(train), std::move(test), 0};
}

int64_t largest_label(const IdxArray& labels) {
  return *std::max_element(labels.values.begin(), labels.values.end());
}

}  // namespace

ImageDataset::ImageDataset(std::shared_ptr<const IdxArray> images,
                           std::shared_ptr<const IdxArray> labels, int64_t begin, int64_t end)
    : images_(std::move(images)), labels_(std::move(labels)), begin_(begin), end_(end) {
  standardize_with({});
}

void ImageDataset::standardize_with(Moments moments) {
  const double scale = moments.deviation > 0 ? 1 / moments.deviation : 1;
  for (int p = 0; p < 256; ++p) {
    value_of_pixel_[static_cast<size_t>(p)] =
        static_cast<float>((p / 255.0 - moments.mean) * scale);
  }
}

ImageDataset::Moments ImageDataset::pixel_moments() const {
  // Counting is exact, so every rank gets the same bits.
  std::array<int64_t, 256> seen = {};
  const int64_t pixels = rows() * cols();
  const uint8_t* first = images_->values.data() + begin_ * pixels;
  for (const uint8_t* p = first; p != first + size() * pixels; ++p) ++seen[*p];
  double sum = 0, square_sum = 0;
  for (int p = 0; p < 256; ++p) {
    const auto n = static_cast<double>(seen[static_cast<size_t>(p)]);
    sum += n * p / 255.0;
    square_sum += n * (p / 255.0) * (p / 255.0);
  }
  const auto count = static_cast<double>(std::max<int64_t>(size() * pixels, 1));
  const double mean = sum / count;
  return {mean, std::sqrt(std::max(square_sum / count - mean * mean, 0.0))};
}

Batch ImageDataset::collate(std::span<const int64_t> indices) const {
  if (indices.empty()) return {};
  const auto batch = static_cast<int64_t>(indices.size());
  const int64_t pixels = rows() * cols();
  Batch out{empty({batch, 1, rows(), cols()}), empty({batch}, {DType::kI64}), batch, 0};
  float* inputs = out.inputs.data<float>();
  int64_t* targets = out.targets.data<int64_t>();
  for (const int64_t i : indices) {
    require(i >= 0 && i < size(), "image_dataset", "index must lie in [0, ", size(), "), got ", i);
    const uint8_t* image = images_->values.data() + (begin_ + i) * pixels;
    inputs = std::transform(image, image + pixels, inputs,
                            [this](uint8_t p) { return value_of_pixel_[p]; });
    *targets++ = labels_->values[static_cast<size_t>(begin_ + i)];
  }
  return out;
}

ImageSplit open_images(const std::string& directory) {
  const std::map<std::string, Pair> pairs = find_pairs(directory);
  const auto part = [](const Arrays& a, int64_t begin, int64_t end) {
    return std::make_shared<ImageDataset>(a.images, a.labels, begin, end);
  };
  const auto train_pair = pairs.find("train-");
  const auto test_pair = pairs.contains("t10k-") ? pairs.find("t10k-") : pairs.find("test-");
  if (train_pair != pairs.end() && test_pair != pairs.end()) {
    const Arrays train = read_pair(train_pair->second), test = read_pair(test_pair->second);
    ImageSplit split =
        make_split(directory, part(train, 0, train.count()), part(test, 0, test.count()));
    split.classes = std::max(largest_label(*train.labels), largest_label(*test.labels)) + 1;
    return split;
  }
  if (pairs.size() != 1) {
    refuse("needs a pair *images-idx3-ubyte[.gz] and *labels-idx1-ubyte[.gz], or a train- and a ",
           "t10k- pair, got ", pairs.size(), " pairs in ", directory);
  }
  const Arrays all = read_pair(pairs.begin()->second);
  const int64_t boundary = all.count() * 8 / 10;
  ImageSplit split =
      make_split(directory, part(all, 0, boundary), part(all, boundary, all.count()));
  split.classes = largest_label(*all.labels) + 1;
  return split;
}

}  // namespace trireme
