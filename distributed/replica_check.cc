#include "distributed/replica_check.h"

#include <algorithm>
#include <map>

namespace trireme {
namespace {

std::string join(const Description& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

Description split(const std::string& text) {
  Description lines;
  for (size_t begin = 0, end; begin < text.size(); begin = end + 1) {
    end = text.find('\n', begin);
    lines.push_back(text.substr(begin, end - begin));
  }
  return lines;
}

template <typename T>
std::vector<T> gather(T mine, Communicator& communicator) {
  std::vector<T> all(static_cast<size_t>(communicator.world_size()));
  communicator.all_gather(&mine, all.data(), sizeof(T))->wait();
  return all;
}

// Every rank's lines, in rank order.
std::vector<Description> gather_lines(const Description& mine, Communicator& communicator) {
  const std::string text = join(mine);
  const std::vector<int64_t> sizes = gather(static_cast<int64_t>(text.size()), communicator);
  const int64_t longest = *std::max_element(sizes.begin(), sizes.end());
  std::string padded = text;
  padded.resize(static_cast<size_t>(longest));
  std::string all(static_cast<size_t>(longest) * sizes.size(), '\0');
  communicator.all_gather(padded.data(), all.data(), longest)->wait();
  std::vector<Description> lines;
  for (size_t r = 0; r < sizes.size(); ++r) {
    lines.push_back(
        split(all.substr(r * static_cast<size_t>(longest), static_cast<size_t>(sizes[r]))));
  }
  return lines;
}

}  // namespace

uint64_t digest_of(const void* data, size_t bytes, uint64_t seed) {
  const auto* p = static_cast<const unsigned char*>(data);
  uint64_t hash = seed;
  for (size_t i = 0; i < bytes; ++i) hash = (hash ^ p[i]) * 0x100000001b3;
  return hash;
}

void require_same_on_all_ranks(const char* what, const Description& mine,
                               Communicator& communicator) {
  const std::string text = join(mine);
  const std::vector<uint64_t> digests = gather(digest_of(text.data(), text.size()), communicator);
  if (std::adjacent_find(digests.begin(), digests.end(), std::not_equal_to<>()) == digests.end()) {
    return;
  }
  const std::vector<Description> all = gather_lines(mine, communicator);
  for (size_t line = 0;; ++line) {
    std::map<std::string, std::string> ranks_of;  // variant -> ranks
    for (size_t r = 0; r < all.size(); ++r) {
      const std::string variant = line < all[r].size() ? all[r][line] : "(nothing)";
      std::string& ranks = ranks_of[variant];
      ranks += concat(ranks.empty() ? "rank " : ", ", r);
    }
    if (ranks_of.size() == 1) continue;
    std::string message = concat(what, ": ranks differ, first at entry ", line);
    for (const auto& [variant, ranks] : ranks_of) message += concat("\n  ", ranks, ": ", variant);
    throw CommError(CommError::Kind::kMismatch, message);
  }
}

}  // namespace trireme
