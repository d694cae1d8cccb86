#include "core/data/decode_image.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <vector>

#include "core/base/config.h"
#include "core/base/error.h"

namespace trireme {
namespace {

constexpr std::array<uint8_t, 3> kJpeg = {0xFF, 0xD8, 0xFF};
constexpr std::array<uint8_t, 8> kPng = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
// 400 MB when decoded; no file of so many pixels is longer than a gibibyte.
constexpr int64_t kMostPixels = int64_t{1} << 27;
constexpr int64_t kMostBytes = int64_t{1} << 30;

bool starts_with(std::span<const uint8_t> bytes, std::span<const uint8_t> magic) {
  return bytes.size() >= magic.size() && std::equal(magic.begin(), magic.end(), bytes.begin());
}

// Closes the file on every way out.
class Descriptor {
 public:
  explicit Descriptor(const std::string& path)
      : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    if (fd_ < 0) fail_to_read("read_image", path, errno);
  }
  ~Descriptor() { ::close(fd_); }
  Descriptor(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

// Read, not mapped: many threads that map small files would wait for each other in the kernel.
std::vector<uint8_t> read_bytes(const std::string& path) {
  const Descriptor file(path);
  struct stat info = {};
  if (::fstat(file.get(), &info) != 0) fail_to_read("read_image", path, errno);
  if (!S_ISREG(info.st_mode)) refuse_image(path, "is not a regular file");
  if (info.st_size > kMostBytes) {
    refuse_image(path,
                 concat("must not be longer than ", kMostBytes, " bytes, got ", info.st_size));
  }
  std::vector<uint8_t> bytes(static_cast<size_t>(info.st_size));
  size_t have = 0;
  while (have < bytes.size()) {
    const ssize_t got = ::read(file.get(), bytes.data() + have, bytes.size() - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_to_read("read_image", path, errno);
    if (got == 0) refuse_image(path, "became shorter while it was read");
    have += static_cast<size_t>(got);
  }
  return bytes;
}

}  // namespace

void refuse_image(const std::string& path, const std::string& reason) {
  throw DataError(concat("read_image: ", path, " ", reason, "; replace or remove the file"));
}

void check_image_size(const std::string& path, int64_t rows, int64_t cols) {
  if (rows < 1 || cols < 1 || rows > kMostPixels / cols) {
    refuse_image(path, concat("must have between 1 and ", kMostPixels, " pixels, got ", rows,
                              " rows x ", cols, " columns"));
  }
}

RgbImage read_image(const std::string& path) {
  if constexpr (kHasImages) {
    const std::vector<uint8_t> bytes = read_bytes(path);
    if (bytes.empty()) refuse_image(path, "is empty");
    if (starts_with(bytes, kJpeg)) return decode_jpeg(bytes, path);
    if (starts_with(bytes, kPng)) return decode_png(bytes, path);
    refuse_image(path, "is neither PNG nor JPEG, whatever its name says");
  }
  fail("read_image", "this build of Trireme cannot read ", path,
       "; build it where libjpeg-turbo and libpng are installed (TRIREME_IMAGES=ON)");
}

}  // namespace trireme
