// Reads PNG and JPEG files into RGB pixels, as Pillow's `Image.open(path).convert("RGB")` does.
//
// Grey becomes three equal channels, palettes are looked up, transparency is dropped (not blended
// with anything), 16 bits are scaled to 8, CMYK and YCCK are converted. Colour profiles and gamma
// are not applied, and neither is the orientation that a camera notes in EXIF: pixels are taken as
// they are stored.

#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "core/data/rgb_image.h"

namespace trireme {

/// Which of the two it is, the content says, not the name. Throws DataError, naming the file, when
/// it is neither, damaged, cut off, or larger than any photograph; IoError when it cannot be read;
/// InvalidArgument in a build without image libraries (kHasImages).
RgbImage read_image(const std::string& path);

/// The parts of read_image, for one format each; `path` is for messages.
RgbImage decode_jpeg(std::span<const uint8_t> bytes, const std::string& path);
RgbImage decode_png(std::span<const uint8_t> bytes, const std::string& path);

/// Throws the DataError of an image that cannot be used: `read_image: PATH reason; what to do`.
[[noreturn]] void refuse_image(const std::string& path, const std::string& reason);
/// Refuses extents that no photograph has, before memory is taken for them.
void check_image_size(const std::string& path, int64_t rows, int64_t cols);

}  // namespace trireme
