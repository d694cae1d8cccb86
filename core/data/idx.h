// IDX files: the format of MNIST and its relatives, plain or compressed by gzip.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace trireme {

/// An array of bytes with its extents, row-major: images are [count, rows, cols], labels [count].
struct IdxArray {
  std::vector<int64_t> dims;
  std::vector<uint8_t> values;
};

/// Reads a whole file; gzip is recognised by content, not by name. Throws IoError when it cannot be
/// read, and DataError, naming the file, for a wrong magic number, elements that are not unsigned
/// bytes, a size that contradicts the header, and damaged compression.
IdxArray read_idx(const std::string& path);

}  // namespace trireme
