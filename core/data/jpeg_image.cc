// JPEG through libjpeg-turbo, with the decoder's default settings (exact integer DCT, smooth
// upsampling), which Pillow uses too.
//
// The library reports errors by a call that must not return; ours jumps back. A jump skips
// destructors, so what runs between setjmp and an error holds plain data only.

#include <cstdio>  // jpeglib.h needs FILE

#include <jpeglib.h>

#include <jerror.h>

#include <csetjmp>
#include <new>
#include <vector>

#include "core/base/error.h"
#include "core/data/decode_image.h"

namespace trireme {
namespace {

struct Errors {
  jpeg_error_mgr manager;  // first: libjpeg knows this address only
  std::jmp_buf escape;
  char reason[JMSG_LENGTH_MAX];
  bool out_of_memory;
};

[[noreturn]] void give_up(j_common_ptr codec) {
  auto* errors = reinterpret_cast<Errors*>(codec->err);
  codec->err->format_message(codec, errors->reason);
  errors->out_of_memory = codec->err->msg_code == JERR_OUT_OF_MEMORY;
  std::longjmp(errors->escape, 1);
}

// The library goes on after a warning, with grey where data is missing. Pixels that are not those
// of the photograph are refused; oddities in headers and between segments are not.
bool means_damage(int code) {
  return code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER || code == JWRN_HUFF_BAD_CODE ||
         code == JWRN_ARITH_BAD_CODE || code == JWRN_MUST_RESYNC;
}

void on_message(j_common_ptr codec, int level) {
  const bool is_warning = level < 0;
  if (is_warning && means_damage(codec->err->msg_code)) give_up(codec);
}

// CMYK pixels -> RGB. Photoshop, and every program after it, stores them inverted and marks the
// file as Adobe's.
void convert_cmyk(const uint8_t* from, int64_t cols, bool inverted, uint8_t* to) {
  const int mask = inverted ? 0 : 255;
  for (int64_t c = 0; c < cols; ++c, from += 4, to += 3) {
    const int light = from[3] ^ mask;  // what black ink leaves
    for (int k = 0; k < 3; ++k) {
      to[k] = static_cast<uint8_t>(((from[k] ^ mask) * light + 127) / 255);
    }
  }
}

class JpegReader {
 public:
  JpegReader() {
    codec_.err = jpeg_std_error(&errors_.manager);
    errors_.manager.error_exit = give_up;
    errors_.manager.emit_message = on_message;
  }
  ~JpegReader() { jpeg_destroy_decompress(&codec_); }
  JpegReader(const JpegReader&) = delete;

  // Each is false if it failed; failure() then says why.
  bool read_header(std::span<const uint8_t> bytes) {
    if (setjmp(errors_.escape) != 0) return false;
    jpeg_create_decompress(&codec_);
    jpeg_mem_src(&codec_, bytes.data(), bytes.size());
    jpeg_read_header(&codec_, TRUE);
    codec_.out_color_space = is_cmyk() ? JCS_CMYK : JCS_RGB;
    return true;
  }
  // scratch: a row of CMYK pixels.
  bool read_pixels(const RgbImage& image, uint8_t* scratch) {
    if (setjmp(errors_.escape) != 0) return false;
    jpeg_start_decompress(&codec_);
    while (codec_.output_scanline < codec_.output_height) {
      uint8_t* const target = image.row(codec_.output_scanline);
      JSAMPROW row = is_cmyk() ? scratch : target;
      jpeg_read_scanlines(&codec_, &row, 1);
      if (is_cmyk()) convert_cmyk(scratch, image.cols, codec_.saw_Adobe_marker, target);
    }
    jpeg_finish_decompress(&codec_);
    return true;
  }

  bool is_cmyk() const {
    return codec_.jpeg_color_space == JCS_CMYK || codec_.jpeg_color_space == JCS_YCCK;
  }
  int64_t rows() const { return codec_.image_height; }
  int64_t cols() const { return codec_.image_width; }

  [[noreturn]] void fail(const std::string& path) const {
    if (errors_.out_of_memory) throw std::bad_alloc();
    refuse_image(path, concat("is damaged (libjpeg: ", errors_.reason, ")"));
  }

 private:
  Errors errors_ = {};
  jpeg_decompress_struct codec_ = {};
};

}  // namespace

RgbImage decode_jpeg(std::span<const uint8_t> bytes, const std::string& path) {
  JpegReader reader;
  if (!reader.read_header(bytes)) reader.fail(path);
  check_image_size(path, reader.rows(), reader.cols());
  RgbImage image(reader.rows(), reader.cols());
  std::vector<uint8_t> scratch(reader.is_cmyk() ? static_cast<size_t>(image.cols) * 4 : 0);
  if (!reader.read_pixels(image, scratch.data())) reader.fail(path);
  return image;
}

}  // namespace trireme
