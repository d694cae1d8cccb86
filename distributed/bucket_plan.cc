#include "distributed/bucket_plan.h"

#include <algorithm>
#include <map>

namespace trireme {
namespace {

int64_t aligned(int64_t bytes) {
  return (bytes + kSlotAlignment - 1) / kSlotAlignment * kSlotAlignment;
}

// Cuts one dtype's sequence into groups: head, caps, tail.
std::vector<std::vector<int>> cut(const std::vector<int>& params,
                                  std::span<const GradientSize> sizes, const BucketSizes& limits) {
  const auto bytes = [&](int p) { return sizes[p].count * size_of(sizes[p].dtype); };
  // The tail is taken off first, from the end; it never takes everything.
  size_t tail_begin = params.size();
  int64_t tail = 0;
  while (tail_begin > 1 && tail + bytes(params[tail_begin - 1]) <= limits.tail_bytes) {
    tail += bytes(params[--tail_begin]);
  }
  std::vector<std::vector<int>> groups(1);
  int64_t filled = 0;
  for (size_t i = 0; i < params.size(); ++i) {
    const int64_t limit = groups.size() == 1 ? limits.head_bytes : limits.cap_bytes;
    const bool full = filled >= limit || i == tail_begin;
    if (full && !groups.back().empty()) {
      groups.emplace_back();
      filled = 0;
    }
    groups.back().push_back(params[i]);
    filled += bytes(params[i]);
  }
  return groups;
}

Bucket lay_out(const std::vector<int>& params, std::span<const GradientSize> sizes) {
  Bucket bucket;
  bucket.dtype = sizes[params.front()].dtype;
  bucket.params = params;
  int64_t end = 0;
  for (int p : params) {
    bucket.offset_bytes.push_back(end);
    end = aligned(end + sizes[p].count * size_of(bucket.dtype));
  }
  bucket.flags_offset_bytes = end;
  bucket.total_bytes = aligned(end + static_cast<int64_t>(params.size()) * size_of(bucket.dtype));
  return bucket;
}

}  // namespace

BucketSizes fitted_to(int64_t model_bytes, BucketSizes limits) {
  constexpr int64_t kLeastBuckets = 8;
  limits.cap_bytes =
      std::min(limits.cap_bytes, std::max(limits.head_bytes, model_bytes / kLeastBuckets));
  return limits;
}

std::vector<Bucket> plan_buckets(std::span<const GradientSize> sizes, std::span<const int> order,
                                 const BucketSizes& limits) {
  std::vector<int> position(sizes.size(), -1);
  std::map<DType, std::vector<int>> by_dtype;
  for (size_t i = 0; i < order.size(); ++i) {
    const int p = order[i];
    require(p >= 0 && p < static_cast<int>(sizes.size()) && position[p] < 0, "plan_buckets",
            "order must be a permutation of the parameters, got ", p, " at position ", i);
    position[p] = static_cast<int>(i);
    by_dtype[sizes[p].dtype].push_back(p);
  }
  require(order.size() == sizes.size(), "plan_buckets", "order has ", order.size(), " entries for ",
          sizes.size(), " parameters");
  std::vector<Bucket> buckets;
  for (const auto& [dtype, params] : by_dtype) {
    for (const std::vector<int>& group : cut(params, sizes, limits)) {
      buckets.push_back(lay_out(group, sizes));
    }
  }
  std::sort(buckets.begin(), buckets.end(), [&](const Bucket& a, const Bucket& b) {
    return position[a.params.back()] < position[b.params.back()];
  });
  return buckets;
}

}  // namespace trireme
