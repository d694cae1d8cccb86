// PNG through libpng.
//
// The library reports errors by a call that must not return; ours jumps back. A jump skips
// destructors, so what runs between setjmp and an error holds plain data only.

#include <png.h>

#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <new>
#include <vector>

#include "core/base/error.h"
#include "core/data/decode_image.h"

namespace trireme {
namespace {

class PngReader {
 public:
  explicit PngReader(std::span<const uint8_t> bytes) : rest_(bytes) {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, on_error, on_warning);
    if (png_) info_ = png_create_info_struct(png_);
    if (!info_) {
      png_destroy_read_struct(&png_, &info_, nullptr);
      throw std::bad_alloc();
    }
  }
  ~PngReader() { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngReader(const PngReader&) = delete;

  // Each is false if it failed; failure() then says why.
  bool read_header() {
    if (setjmp(escape_) != 0) return false;
    png_set_read_fn(png_, this, take);
    png_read_info(png_, info_);
    png_set_expand(png_);  // palettes, and grey of less than 8 bits
    png_set_scale_16(png_);
    png_set_strip_alpha(png_);
    png_set_gray_to_rgb(png_);
    png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    return true;
  }
  // row_starts: one pointer per row.
  bool read_pixels(png_bytepp row_starts) {
    if (setjmp(escape_) != 0) return false;
    png_read_image(png_, row_starts);
    png_read_end(png_, nullptr);
    return true;
  }

  int64_t rows() const { return png_get_image_height(png_, info_); }
  int64_t cols() const { return png_get_image_width(png_, info_); }
  size_t bytes_per_row() const { return png_get_rowbytes(png_, info_); }

  [[noreturn]] void fail(const std::string& path) const {
    refuse_image(path, concat("is damaged (libpng: ", reason_, ")"));
  }

 private:
  [[noreturn]] static void on_error(png_structp png, png_const_charp reason) {
    auto* self = static_cast<PngReader*>(png_get_error_ptr(png));
    std::snprintf(self->reason_, sizeof(self->reason_), "%s", reason);
    std::longjmp(self->escape_, 1);
  }
  // About chunks that do not change the pixels, such as a colour profile with flaws.
  static void on_warning(png_structp, png_const_charp) {}

  static void take(png_structp png, png_bytep to, size_t count) {
    auto* self = static_cast<PngReader*>(png_get_io_ptr(png));
    if (count > self->rest_.size()) png_error(png, "the file is cut off");
    std::memcpy(to, self->rest_.data(), count);
    self->rest_ = self->rest_.subspan(count);
  }

  std::span<const uint8_t> rest_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  std::jmp_buf escape_ = {};
  char reason_[128] = "";
};

}  // namespace

RgbImage decode_png(std::span<const uint8_t> bytes, const std::string& path) {
  PngReader reader(bytes);
  if (!reader.read_header()) reader.fail(path);
  check_image_size(path, reader.rows(), reader.cols());
  RgbImage image(reader.rows(), reader.cols());
  TRIREME_ASSERT(reader.bytes_per_row() == static_cast<size_t>(image.cols) * 3);
  std::vector<png_bytep> row_starts(static_cast<size_t>(image.rows));
  for (int64_t r = 0; r < image.rows; ++r) row_starts[static_cast<size_t>(r)] = image.row(r);
  if (!reader.read_pixels(row_starts.data())) reader.fail(path);
  return image;
}

}  // namespace trireme
