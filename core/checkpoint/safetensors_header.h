// The header of a safetensors file: what lies where. Parsing trusts nothing in the file.

#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/dtype.h"
#include "core/base/shape.h"

namespace trireme {

/// An element type as files name it.
struct SafetensorsType {
  const char* name;  // "F32"
  int width_bytes;   // of an element
  DType dtype;
};

/// Throws InvalidArgument if no file type has exactly this dtype.
const SafetensorsType& safetensors_type_of(DType dtype);

struct SafetensorsEntry {
  std::string name;
  const SafetensorsType* type = nullptr;
  Shape shape;
  uint64_t begin = 0, end = 0;  // bytes from the start of the data
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;  // by offset
  std::map<std::string, std::string> metadata;
  size_t data_offset = 0;  // of the data, from the start of the file
};

/// Largest header that is read, as in the reference implementation.
inline constexpr uint64_t kMaxSafetensorsHeaderBytes = 100'000'000;

/// Reads and checks the header at the start of `file`. Throws DataError that names `path` and,
/// where there is one, the tensor: cut off, not JSON, a name twice, unknown type, more than
/// kMaxRank dimensions, sizes that contradict the shape, gaps or overlaps, bytes missing or left
/// over.
SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file,
                                           const std::string& path);

/// Length field and JSON text, padded with spaces so that the data starts at a multiple of 8.
std::string make_safetensors_header(const SafetensorsHeader& header);

}  // namespace trireme
