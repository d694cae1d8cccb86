// TokenSource: a long sequence of tokens that lies in one or several files, read by position.

#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace trireme {

/// Tokens of one file, as they lie in memory: one byte each (text) or two, little-endian (uint16).
struct TokenSegment {
  std::shared_ptr<const void> owner;  // keeps `tokens` alive: a mapping or a buffer
  const void* tokens = nullptr;       // aligned to width_bytes
  int width_bytes = 1;
  int64_t count = 0;
  std::string file;              // for messages
  int64_t position_in_file = 0;  // of the first token; slices start later
};

/// Segments end to end. Cheap to copy and to slice; the tokens are shared. Const methods may be
/// called by several threads at a time.
class TokenSource {
 public:
  /// `name` is what messages call the source. Requires vocab_size in [1, 65536].
  TokenSource(std::string name, std::vector<TokenSegment> segments, int64_t vocab_size);

  int64_t size() const { return size_; }
  int64_t vocab_size() const { return vocab_size_; }
  const std::string& name() const { return name_; }

  /// Copies tokens [position, position + out.size()). Throws DataError that names file, position
  /// and value when a token is not below vocab_size(). Requires that the range lies inside the
  /// source.
  void read(int64_t position, std::span<int64_t> out) const;

  /// Tokens [begin, end) as a source of their own. Requires 0 <= begin <= end <= size().
  TokenSource slice(int64_t begin, int64_t end, std::string name) const;

 private:
  std::string name_;
  std::vector<TokenSegment> segments_;
  std::vector<int64_t> starts_;  // position of each segment's first token
  int64_t size_ = 0;
  int64_t vocab_size_;
};

}  // namespace trireme
