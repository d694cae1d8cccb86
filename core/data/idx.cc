#include "core/data/idx.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

#include "core/base/error.h"

namespace trireme {
namespace {

constexpr uint8_t kUnsignedByte = 0x08;
constexpr int kMostDims = 4;

template <typename... Parts>
[[noreturn]] void refuse(const Parts&... parts) {
  throw DataError(concat("read_idx: ", parts...));
}

// Reads through zlib, which passes uncompressed files on as they are.
class Reader {
 public:
  explicit Reader(const std::string& path) : path_(path), file_(gzopen(path.c_str(), "rbe")) {
    if (!file_) fail_to_read("read_idx", path, errno);
  }
  ~Reader() { gzclose(file_); }
  Reader(const Reader&) = delete;

  // Up to `count` bytes; fewer only at the end of the file.
  size_t read(uint8_t* out, size_t count) {
    const int got = gzread(file_, out, static_cast<unsigned>(count));
    int code = Z_OK;
    const char* reason = gzerror(file_, &code);
    if (got < 0 || code == Z_BUF_ERROR) refuse(path_, " is damaged, ", reason);
    return static_cast<size_t>(got);
  }

 private:
  const std::string& path_;
  gzFile file_;
};

std::vector<int64_t> read_dims(Reader& in, const std::string& path) {
  std::array<uint8_t, 4> magic = {};
  const size_t got = in.read(magic.data(), magic.size());
  if (got == 0) refuse("a file must not be empty, got ", path);
  if (got < magic.size() || magic[0] != 0 || magic[1] != 0 || magic[3] < 1 ||
      magic[3] > kMostDims) {
    refuse("an IDX file starts with the bytes 0 0 type rank, got ", int{magic[0]}, " ",
           int{magic[1]}, " ", int{magic[2]}, " ", int{magic[3]}, " in ", path);
  }
  if (magic[2] != kUnsignedByte) {
    refuse("elements must be unsigned bytes (type 8), got type ", int{magic[2]}, " in ", path);
  }
  std::vector<int64_t> dims(magic[3]);
  for (int64_t& extent : dims) {
    std::array<uint8_t, 4> b = {};
    if (in.read(b.data(), b.size()) < b.size()) refuse("the header is cut off in ", path);
    extent = int64_t{b[0]} << 24 | int64_t{b[1]} << 16 | int64_t{b[2]} << 8 | int64_t{b[3]};
  }
  return dims;
}

}  // namespace

IdxArray read_idx(const std::string& path) {
  Reader in(path);
  IdxArray array{read_dims(in, path), {}};
  int64_t count = 1;
  for (const int64_t extent : array.dims) {
    if (__builtin_mul_overflow(count, extent, &count)) refuse("extents overflow in ", path);
  }
  // In pieces, so that a header with absurd extents fails at the end of the file, not in malloc.
  constexpr int64_t kPieceBytes = 1 << 20;
  int64_t have = 0;
  while (have < count) {
    const int64_t want = std::min(kPieceBytes, count - have);
    array.values.resize(static_cast<size_t>(have + want));
    const auto got =
        static_cast<int64_t>(in.read(array.values.data() + have, static_cast<size_t>(want)));
    have += got;
    if (got < want) {
      refuse("the header promises ", count, " elements, got ", have, " in ", path,
             "; the file is cut off");
    }
  }
  uint8_t extra = 0;
  if (in.read(&extra, 1) != 0) {
    refuse("the header promises ", count, " elements, got more in ", path);
  }
  return array;
}

}  // namespace trireme
