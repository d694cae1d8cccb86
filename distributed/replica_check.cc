#include "distributed/replica_check.h"

#include <algorithm>
#include <map>

#include "distributed/control_channel.h"

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
  const uint64_t digest = digest_of(text.data(), text.size());
  std::vector<uint64_t> digests(static_cast<size_t>(communicator.world_size()));
  communicator.host().all_gather(&digest, digests.data(), sizeof(digest))->wait();
  if (std::adjacent_find(digests.begin(), digests.end(), std::not_equal_to<>()) == digests.end()) {
    return;
  }
  std::vector<Description> all;
  for (const std::string& lines : gather_texts(text, communicator)) all.push_back(split(lines));
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
