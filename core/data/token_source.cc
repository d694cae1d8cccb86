#include "core/data/token_source.h"

#include <algorithm>
#include <utility>

#include "core/base/error.h"

namespace trireme {
namespace {

[[noreturn]] void throw_outside_vocabulary(const TokenSegment& segment, int64_t at, int64_t token,
                                           int64_t vocab_size) {
  throw DataError(concat("tokens: every token must be below the vocabulary size ", vocab_size,
                         ", got ", token, " at position ", segment.position_in_file + at, " of ",
                         segment.file, "; was the file made with another tokenizer?"));
}

template <typename T>
void read_segment(const TokenSegment& segment, int64_t begin, std::span<int64_t> out,
                  int64_t vocab_size) {
  const T* tokens = static_cast<const T*>(segment.tokens) + begin;
  // Widening and looking for the largest vectorise; finding the culprit is for the rare failure.
  T largest = 0;
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = tokens[i];
    largest = std::max(largest, tokens[i]);
  }
  if (largest < vocab_size) return;
  const auto bad = std::find_if(out.begin(), out.end(), [&](int64_t t) { return t >= vocab_size; });
  throw_outside_vocabulary(segment, begin + (bad - out.begin()), *bad, vocab_size);
}

}  // namespace

TokenSource::TokenSource(std::string name, std::vector<TokenSegment> segments, int64_t vocab_size)
    : name_(std::move(name)), segments_(std::move(segments)), vocab_size_(vocab_size) {
  require(vocab_size >= 1 && vocab_size <= 65536, "tokens",
          "the vocabulary size must be in [1, 65536], got ", vocab_size);
  for (const TokenSegment& segment : segments_) {
    starts_.push_back(size_);
    size_ += segment.count;
  }
}

void TokenSource::read(int64_t position, std::span<int64_t> out) const {
  const int64_t end = position + static_cast<int64_t>(out.size());
  require(position >= 0 && end <= size_, "tokens", "range must lie in [0, ", size_, "), got [",
          position, ", ", end, ")");
  // The last segment that starts at or before the position; empty segments hold nothing to read.
  size_t s = static_cast<size_t>(std::upper_bound(starts_.begin(), starts_.end(), position) -
                                 starts_.begin());
  if (s > 0) --s;
  while (!out.empty()) {
    const TokenSegment& segment = segments_[s];
    const int64_t begin = position - starts_[s];
    const int64_t count =
        std::min<int64_t>(segment.count - begin, static_cast<int64_t>(out.size()));
    const auto part = out.first(static_cast<size_t>(count));
    if (segment.width_bytes == 1) {
      read_segment<uint8_t>(segment, begin, part, vocab_size_);
    } else {
      read_segment<uint16_t>(segment, begin, part, vocab_size_);
    }
    out = out.subspan(part.size());
    position += count;
    ++s;
  }
}

TokenSource TokenSource::slice(int64_t begin, int64_t end, std::string name) const {
  require(0 <= begin && begin <= end && end <= size_, "tokens", "slice must lie in [0, ", size_,
          "], got [", begin, ", ", end, ")");
  std::vector<TokenSegment> parts;
  for (size_t s = 0; s < segments_.size(); ++s) {
    const int64_t from = std::max(begin, starts_[s]) - starts_[s];
    const int64_t to = std::min(end, starts_[s] + segments_[s].count) - starts_[s];
    if (from >= to) continue;
    TokenSegment part = segments_[s];
    part.tokens = static_cast<const uint8_t*>(part.tokens) + from * part.width_bytes;
    part.count = to - from;
    part.position_in_file += from;
    parts.push_back(std::move(part));
  }
  return TokenSource(std::move(name), std::move(parts), vocab_size_);
}

}  // namespace trireme
