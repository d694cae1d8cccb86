// Images per second that a rank's loader prepares, by the number of its threads.
//
//   build/release/bin/loader_benchmark [--threads 2] [--batch 64] [--batches 16] [--image-size 224]
//   loader_benchmark --data FOLDER     images of your own, as trireme-train reads them
//
// Without --data: 32 x 32 x 3 images in memory, shifted and mirrored; and JPEG files of 500 x 375
// pixels and about 100 KB, like an average photograph of ImageNet, cropped at random, scaled and
// mirrored.
//
// What to expect of one core: an image of 32 x 32 is 3,072 look-ups in a table and as many stores,
// some 3 microseconds. A photograph has 0.19 million pixels; libjpeg-turbo decodes about 100
// million a second, scaling to 224 x 224 takes 1.5 million multiply-adds of three channels that the
// compiler vectorises in the second pass only, and standardising is 150,000 look-ups: 2, 1 and 0.15
// ms, so 300 images a second. Threads share nothing but a lock per task, so n cores give n times as
// many.

#include <chrono>
#include <cmath>
#include <ctime>
#include <iomanip>
#include <iostream>

#include "benchmarks/step_timing.h"
#include "core/data/decode_image.h"
#include "core/data/image_crop.h"
#include "core/data/image_data.h"
#include "core/data/image_files.h"
#include "core/data/loader.h"
#include "tests/data/jpeg_files.h"
#include "tests/support/temp_dir.h"

namespace trireme {
namespace {

constexpr int kFiles = 64;
constexpr int kRows = 375, kCols = 500;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Waves of several lengths under noise, which makes the file as long as a photograph's.
std::string photograph(int number) {
  Generator random(static_cast<uint64_t>(number));
  testing::Pixels image{kRows, kCols, 3, {}};
  for (int r = 0; r < kRows; ++r) {
    for (int c = 0; c < kCols; ++c) {
      for (int k = 0; k < 3; ++k) {
        const double wave =
            std::sin(r * 0.02 * (k + 1) + number) + std::sin(c * 0.11 + k) + std::sin(r * c * 1e-3);
        const double noise = 60 * (random.next_uniform() - 0.5);
        image.values.push_back(static_cast<uint8_t>(std::lround(128 + 25 * wave + noise)));
      }
    }
  }
  return testing::jpeg_bytes(image, 85);
}

void write_photographs(const testing::TempDir& dir) {
  for (int i = 0; i < kFiles; ++i) {
    dir.write(concat("train/", i % 2, "/", i, ".jpg"), photograph(i));
    if (i < 2) dir.write(concat("val/", i, "/", i, ".jpg"), photograph(i));
  }
}

std::shared_ptr<const Dataset> images_in_memory() {
  constexpr int64_t kCount = 10000, kSide = 32, kChannels = 3;
  const auto images = std::make_shared<LabelledImages>();
  images->rows = images->cols = kSide;
  images->channels = kChannels;
  for (int64_t i = 0; i < kCount; ++i) images->labels.push_back(static_cast<uint8_t>(i % 10));
  for (int64_t i = 0; i < kCount * kSide * kSide * kChannels; ++i) {
    images->pixels.push_back(static_cast<uint8_t>(i * i >> 7));
  }
  const auto data = std::make_shared<ImageDataset>(images, 0, kCount);
  data->augment_with({.crop_padding = 4, .mirror = true, .seed = 1});
  return data;
}

struct Flags {
  int64_t batch = 64, batches = 16, image_size = 224;
  int threads = 2;
  std::string data;
};

// Each number of threads up to the one asked for.
void time_loader(const char* what, const std::shared_ptr<const Dataset>& data, const Flags& flags,
                 int64_t batches) {
  for (int threads = 1; threads <= flags.threads; ++threads) {
    Loader loader(data, std::make_shared<RandomSampler>(data->size(), flags.batch, 1),
                  {.threads = threads});
    loader.next();  // what follows is made at the pace of the threads
    const auto start = std::chrono::steady_clock::now();
    const std::clock_t clock = std::clock();
    for (int64_t i = 0; i < batches; ++i) loader.next();
    const auto images = static_cast<double>(flags.batch * batches);
    const double processor_seconds = static_cast<double>(std::clock() - clock) / CLOCKS_PER_SEC;
    std::cout << what << ", " << threads
              << " threads: " << std::llround(images / seconds_since(start)) << " images/s, "
              << std::setprecision(3) << processor_seconds / images * 1e6
              << " us of processor time each\n";
  }
}

// Where the time of a photograph goes, on one thread.
void time_parts(const testing::TempDir& dir, const Flags& flags) {
  std::clock_t decoding = 0, scaling = 0;
  Generator random(1);
  for (int i = 0; i < kFiles; ++i) {
    const std::clock_t start = std::clock();
    const RgbImage image = read_image(dir / concat("train/", i % 2, "/", i, ".jpg"));
    const std::clock_t middle = std::clock();
    resample(image, random_crop(image.rows, image.cols, flags.image_size, 0.08, random));
    decoding += middle - start;
    scaling += std::clock() - middle;
  }
  const auto milliseconds = [](std::clock_t total) {
    return static_cast<double>(total) / kFiles / CLOCKS_PER_SEC * 1e3;
  };
  std::cout << "a photograph: decoded in " << milliseconds(decoding)
            << " ms, cropped and scaled in " << milliseconds(scaling) << " ms (processor time)\n";
}

int run(const std::vector<std::string>& words) {
  Flags flags;
  ArgParser parser("loader_benchmark", "[flags]", "Times what prepares batches of images.");
  parser.add("--data", &flags.data, "folder of images").value_name("FOLDER").default_text("");
  parser.add("--threads", &flags.threads, "most loader threads").at_least(1);
  parser.add("--batch", &flags.batch, "images per batch").at_least(1);
  parser.add("--batches", &flags.batches, "batches to time").at_least(1);
  parser.add("--image-size", &flags.image_size, "rows and columns of scaled images").at_least(1);
  if (parser.parse(words).wants_help) {
    std::cout << parser.help();
    return 0;
  }
  const ImageOptions options{.image_size = flags.image_size, .mirror = true, .seed = 1};
  if (!flags.data.empty()) {
    time_loader("these files", open_images(flags.data, options).train, flags, flags.batches);
    return 0;
  }
  constexpr int64_t kMoreBatches = 100;  // of images that take microseconds
  time_loader("32 x 32 in memory", images_in_memory(), flags, kMoreBatches * flags.batches);
  const testing::TempDir dir;
  write_photographs(dir);
  time_loader("photographs", open_images(dir.path(), options).train, flags, flags.batches);
  time_parts(dir, flags);
  return 0;
}

}  // namespace
}  // namespace trireme

int main(int argc, char** argv) { return trireme::run_benchmark(argc, argv, trireme::run); }
