// Makes PNG files for tests.

#pragma once

#include <png.h>

#include <cstdint>
#include <string>
#include <vector>

namespace trireme::testing {

/// rows of `bytes`: as PNG stores them, without filter bytes.
struct PngImage {
  int rows = 0, cols = 0;
  int color_type = PNG_COLOR_TYPE_RGB;
  int bit_depth = 8;
  std::vector<uint8_t> bytes;
  std::vector<png_color> palette = {};
  bool interlaced = false;
};

inline std::string png_bytes(PngImage image) {
  std::string file;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  const auto append = [](png_structp self, png_bytep data, size_t size) {
    static_cast<std::string*>(png_get_io_ptr(self))
        ->append(reinterpret_cast<const char*>(data), size);
  };
  png_set_write_fn(png, &file, append, [](png_structp) {});
  png_set_IHDR(png, info, static_cast<png_uint_32>(image.cols),
               static_cast<png_uint_32>(image.rows), image.bit_depth, image.color_type,
               image.interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  if (!image.palette.empty()) {
    png_set_PLTE(png, info, image.palette.data(), static_cast<int>(image.palette.size()));
  }
  png_write_info(png, info);
  const size_t row_bytes = image.bytes.size() / static_cast<size_t>(image.rows);
  std::vector<png_bytep> rows;
  for (int r = 0; r < image.rows; ++r) {
    rows.push_back(image.bytes.data() + static_cast<size_t>(r) * row_bytes);
  }
  png_write_image(png, rows.data());
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  return file;
}

}  // namespace trireme::testing
