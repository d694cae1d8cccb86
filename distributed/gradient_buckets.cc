#include "distributed/gradient_buckets.h"

#include <cstring>
#include <mutex>

#include "core/tensor/allocator.h"
#include "core/tensor/copy.h"

namespace trireme {
namespace {

std::vector<GradientSize> sizes_of(const StateDict& parameters) {
  std::vector<GradientSize> sizes;
  for (const auto& [name, p] : parameters) sizes.push_back({p.numel(), p.dtype()});
  return sizes;
}

// Keeps a bucket's memory alive and counted for as long as a gradient lives in it.
std::shared_ptr<void> counted(std::shared_ptr<void> memory, int64_t bytes) {
  count_external_bytes(MemoryKind::kGradients, bytes);
  void* data = memory.get();
  return {data, [memory = std::move(memory), bytes](void*) {
            count_external_bytes(MemoryKind::kGradients, -bytes);
          }};
}

}  // namespace

GradientBuckets::GradientBuckets(const StateDict& parameters, Communicator& communicator,
                                 const BucketSizes& sizes)
    : parameters_(parameters),
      communicator_(communicator),
      sizes_(sizes),
      has_flags_(communicator.device().is_cpu()),
      places_(parameters.size()),
      parts_(parameters.size()) {
  for (const auto& [name, p] : parameters_) slots_.emplace_back(p);
}

void GradientBuckets::plan(const std::vector<int>& order) {
  int64_t model_bytes = 0;
  for (const auto& [name, p] : parameters_) model_bytes += p.nbytes();
  std::vector<Bucket> buckets =
      plan_buckets(sizes_of(parameters_), order, fitted_to(model_bytes, sizes_));
  if (buckets == buckets_) return;
  buckets_ = std::move(buckets);
  // From here on the old buckets are held by the gradients in them only.
  for (Tensor& part : parts_) part = Tensor();
  memory_.assign(buckets_.size(), nullptr);
  for (size_t b = 0; b < buckets_.size(); ++b) {
    const Bucket& bucket = buckets_[b];
    memory_[b] = allocate(bucket.total_bytes);
    for (size_t i = 0; i < bucket.params.size(); ++i) {
      const int param = bucket.params[i];
      const Tensor& p = parameters_[param].second;
      places_[param] = {static_cast<int>(b), static_cast<int>(i)};
      // A storage of its own per slot, so that versions of different gradients stay apart.
      Ref<Storage> storage = Storage::borrow(at(static_cast<int>(b), bucket.offset_bytes[i]),
                                             p.nbytes(), p.device(), memory_[b]);
      parts_[param] = Tensor(storage, 0, p.shape(), contiguous_strides(p.shape()), p.dtype());
      slots_[param].set(parts_[param]);
    }
  }
}

// Device memory counts itself.
std::shared_ptr<void> GradientBuckets::allocate(int64_t bytes) {
  const MemoryKindGuard kind(MemoryKind::kGradients);
  auto memory = communicator_.allocate(bytes);
  return communicator_.device().is_cpu() ? counted(std::move(memory), bytes) : memory;
}

int64_t GradientBuckets::message_count(size_t bucket) const {
  const Bucket& b = buckets_[bucket];
  return has_flags_ ? b.count() : b.flags_offset_bytes / size_of(b.dtype);
}

int64_t GradientBuckets::bytes() const {
  int64_t bytes = 0;
  for (const Bucket& bucket : buckets_) bytes += bucket.total_bytes;
  return bytes;
}

void GradientBuckets::set_used(int param, bool used) {
  const Place& place = places_[param];
  const Bucket& bucket = buckets_[place.bucket];
  if (!used && !has_flags_) fill_inplace(parts_[param], 0);
  if (!has_flags_) return;
  if (!used) {
    std::memset(at(place.bucket, bucket.offset_bytes[place.position]), 0,
                static_cast<size_t>(parameters_[param].second.nbytes()));
  }
  char* flags = at(place.bucket, bucket.flags_offset_bytes);
  dispatch_floating("reducer", bucket.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    reinterpret_cast<T*>(flags)[place.position] = T(used ? 1 : 0);
  });
}

double GradientBuckets::used_share(int param) const {
  const Place& place = places_[param];
  const Bucket& bucket = buckets_[place.bucket];
  const char* flags = at(place.bucket, bucket.flags_offset_bytes);
  return dispatch_floating("reducer", bucket.dtype, [&](auto tag) {
    return static_cast<double>(
        reinterpret_cast<const typename decltype(tag)::type*>(flags)[place.position]);
  });
}

void GradientBuckets::keep_for_ever() noexcept {
  static std::mutex mutex;
  static auto& kept = *new std::vector<std::shared_ptr<void>>;
  for (GradientSlot& slot : slots_) slot.forget();
  const std::lock_guard lock(mutex);
  kept.insert(kept.end(), memory_.begin(), memory_.end());
}

}  // namespace trireme
