// Makes JPEG files for tests and benchmarks.

#pragma once

#include <cstdio>  // jpeglib.h needs FILE

#include <jpeglib.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

namespace trireme::testing {

/// values: [rows, cols, channels]; 1 channel is grey, 3 are RGB, 4 are CMYK.
struct Pixels {
  int rows = 0, cols = 0, channels = 3;
  std::vector<uint8_t> values;
};

/// Every pixel the same.
inline Pixels flat(int rows, int cols, const std::vector<uint8_t>& color) {
  Pixels image{rows, cols, static_cast<int>(color.size()), {}};
  for (int i = 0; i < rows * cols; ++i) {
    image.values.insert(image.values.end(), color.begin(), color.end());
  }
  return image;
}

/// The file's bytes. Only CMYK files may lack Adobe's marker, which says that they are inverted.
inline std::string jpeg_bytes(Pixels image, int quality = 95, bool adobe_marker = true) {
  jpeg_compress_struct codec = {};
  jpeg_error_mgr errors = {};
  codec.err = jpeg_std_error(&errors);
  jpeg_create_compress(&codec);
  unsigned char* memory = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&codec, &memory, &size);
  codec.image_height = static_cast<JDIMENSION>(image.rows);
  codec.image_width = static_cast<JDIMENSION>(image.cols);
  codec.input_components = image.channels;
  codec.in_color_space = image.channels == 1   ? JCS_GRAYSCALE
                         : image.channels == 3 ? JCS_RGB
                                               : JCS_CMYK;
  jpeg_set_defaults(&codec);
  if (!adobe_marker) codec.write_Adobe_marker = FALSE;
  jpeg_set_quality(&codec, quality, TRUE);
  jpeg_start_compress(&codec, TRUE);
  while (codec.next_scanline < codec.image_height) {
    JSAMPROW row =
        image.values.data() + codec.next_scanline * codec.image_width * codec.input_components;
    jpeg_write_scanlines(&codec, &row, 1);
  }
  jpeg_finish_compress(&codec);
  std::string bytes(reinterpret_cast<char*>(memory), size);
  jpeg_destroy_compress(&codec);
  std::free(memory);
  return bytes;
}

}  // namespace trireme::testing
