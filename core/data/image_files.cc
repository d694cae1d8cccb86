#include "core/data/image_files.h"

#include <algorithm>
#include <filesystem>
#include <initializer_list>
#include <map>
#include <utility>

#include "core/base/config.h"
#include "core/base/error.h"
#include "core/data/cifar.h"
#include "core/data/folder_dataset.h"
#include "core/data/idx.h"
#include "core/data/image_folder.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

constexpr double kValidationShare = 0.2;

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

// "--crop 4 --mirror"
std::string joined(std::initializer_list<std::string> flags) {
  std::string text;
  for (const std::string& flag : flags) {
    if (!flag.empty()) text += (text.empty() ? "" : " ") + flag;
  }
  return text;
}

std::string mirror_flag(const ImageOptions& options) { return options.mirror ? "--mirror" : ""; }

ImageSplit make_split(const std::string& directory, const ImageOptions& options,
                      std::shared_ptr<ImageDataset> train, std::shared_ptr<ImageDataset> test,
                      int64_t classes) {
  require(options.image_size == 0 && options.crop_area == 0 && options.validation_share == 0,
          "open_images",
          "image size, crop area and validation share are for folders of PNG and JPEG files, but ",
          directory, " holds IDX or CIFAR-10 files");
  if (train->size() == 0 || test->size() == 0) {
    refuse("both parts need images, got ", train->size(), " to train and ", test->size(),
           " to test in ", directory);
  }
  if (train->rows() != test->rows() || train->cols() != test->cols()) {
    refuse("both parts need images of one size, got ", train->rows(), " x ", train->cols(),
           " to train and ", test->rows(), " x ", test->cols(), " to test in ", directory);
  }
  const PixelMoments moments = train->pixel_moments();
  train->standardize_with(moments);
  test->standardize_with(moments);
  train->augment_with(
      {.crop_padding = options.crop_padding, .mirror = options.mirror, .seed = options.seed});
  const std::string crop =
      options.crop_padding > 0 ? concat("--crop ", options.crop_padding) : std::string();
  return {.train = train,
          .test = test,
          .rows = train->rows(),
          .cols = train->cols(),
          .channels = train->channels(),
          .classes = classes,
          .changes = joined({crop, mirror_flag(options)})};
}

int64_t classes_of(const LabelledImages& images) {
  const auto largest = std::max_element(images.labels.begin(), images.labels.end());
  return largest == images.labels.end() ? 0 : *largest + 1;
}

ImageSplit published_split(const std::string& directory, const ImageOptions& options,
                           const Images& train, const Images& test) {
  return make_split(directory, options, std::make_shared<ImageDataset>(train, 0, train->count()),
                    std::make_shared<ImageDataset>(test, 0, test->count()),
                    std::max(classes_of(*train), classes_of(*test)));
}

ImageSplit folder_split(const std::string& directory, const ImageOptions& options) {
  require(options.crop_padding == 0, "open_images",
          "the crop that shifts an image is for IDX and CIFAR-10 files, but ", directory,
          " holds folders of images; they have a crop area");
  if constexpr (!kHasImages) {
    fail("open_images", "this build of Trireme reads no PNG and JPEG files, which ", directory,
         " should hold; build it where libjpeg-turbo and libpng are installed");
  }
  const FolderTransform transform{
      .side = options.image_size > 0 ? options.image_size : FolderTransform{}.side,
      .crop_area = options.crop_area > 0 ? options.crop_area : FolderTransform{}.crop_area,
      .mirror = options.mirror,
      .seed = options.seed};
  ImageFolders folders = list_image_folders(
      directory, options.validation_share > 0 ? options.validation_share : kValidationShare);
  return {.train = std::make_shared<FolderDataset>(std::move(folders.train), transform),
          .test = std::make_shared<FolderDataset>(std::move(folders.test), transform),
          .rows = transform.side,
          .cols = transform.side,
          .channels = 3,
          .classes = static_cast<int64_t>(folders.classes.size()),
          .changes =
              joined({concat("--image-size ", transform.side, " --crop-area ", transform.crop_area),
                      mirror_flag(options)})};
}

}  // namespace

ImageSplit open_images(const std::string& directory, const ImageOptions& options) {
  const std::map<std::string, Pair> pairs = find_pairs(directory);
  if (pairs.empty() && has_cifar10(directory)) {
    return published_split(directory, options, read_cifar10(directory, ImagePart::kTraining),
                           read_cifar10(directory, ImagePart::kTest));
  }
  const auto train = pairs.find("train-");
  const auto test = pairs.contains("t10k-") ? pairs.find("t10k-") : pairs.find("test-");
  if (train != pairs.end() && test != pairs.end()) {
    return published_split(directory, options, read_pair(train->second), read_pair(test->second));
  }
  if (pairs.empty() && has_folders(directory)) return folder_split(directory, options);
  if (pairs.size() != 1) {
    refuse("needs a pair *images-idx3-ubyte[.gz] and *labels-idx1-ubyte[.gz], a train- and a ",
           "t10k- pair, CIFAR-10's *_batch*.bin, or a folder of images per class, got ",
           pairs.size(), " pairs in ", directory);
  }
  const Images all = read_pair(pairs.begin()->second);
  const int64_t boundary = all->count() * 8 / 10;
  return make_split(directory, options, std::make_shared<ImageDataset>(all, 0, boundary),
                    std::make_shared<ImageDataset>(all, boundary, all->count()), classes_of(*all));
}

}  // namespace trireme
