// Builds IDX files for tests.

#pragma once

#include <zlib.h>

#include <string>
#include <vector>

namespace trireme::testing {

/// The bytes of an IDX file: 0 0 type rank, extents as big-endian 32-bit numbers, values.
inline std::string idx_bytes(const std::vector<int>& dims, const std::string& values,
                             char type = 0x08) {
  std::string bytes = {0, 0, type, static_cast<char>(dims.size())};
  for (const int extent : dims) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(extent >> shift);
  }
  return bytes + values;
}

inline void write_gzip(const std::string& path, const std::string& content) {
  gzFile file = gzopen(path.c_str(), "wb");
  gzwrite(file, content.data(), static_cast<unsigned>(content.size()));
  gzclose(file);
}

}  // namespace trireme::testing
