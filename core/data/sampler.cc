#include "core/data/sampler.h"

#include <algorithm>

#include "core/base/error.h"
#include "core/base/philox.h"
#include "core/data/permutation.h"

namespace trireme {
namespace {

// Keeps the samplers' numbers apart from those that other users draw from the same run seed.
constexpr uint64_t kSamplerStream = 0x53414D504C4552;

uint64_t draw(uint64_t seed, uint64_t counter) {
  const auto r = philox(seed ^ kSamplerStream, counter);
  return uint64_t{r[1]} << 32 | r[0];
}

void check_shard(Shard shard) {
  require(shard.world_size >= 1 && shard.rank >= 0 && shard.rank < shard.world_size, "sampler",
          "rank must lie in [0, world size), got rank ", shard.rank, " of ", shard.world_size);
}

void check_training(int64_t dataset_size, int64_t global_batch, Shard shard) {
  check_shard(shard);
  require(dataset_size >= 1, "sampler", "the dataset must not be empty");
  require(global_batch >= 1 && global_batch % shard.world_size == 0, "sampler",
          "the batch must be a positive multiple of the number of ranks, got ", global_batch,
          " for ", shard.world_size, " ranks");
}

void check_step(int64_t step, int64_t steps) {
  require(step >= 0 && step < steps, "sampler", "step must lie in [0, ", steps, "), got ", step);
}

// Calls fn(g) for the global positions of this rank's slice of [begin, begin + count).
template <typename Fn>
std::vector<int64_t> map_slice(int64_t begin, int64_t count, Shard shard, const Fn& fn) {
  const int64_t from = begin + count * shard.rank / shard.world_size;
  const int64_t to = begin + count * (shard.rank + 1) / shard.world_size;
  std::vector<int64_t> indices;
  indices.reserve(static_cast<size_t>(to - from));
  for (int64_t g = from; g < to; ++g) indices.push_back(fn(g));
  return indices;
}

}  // namespace

RandomSampler::RandomSampler(int64_t dataset_size, int64_t global_batch, uint64_t seed, Shard shard)
    : dataset_size_(dataset_size), global_batch_(global_batch), seed_(seed), shard_(shard) {
  check_training(dataset_size, global_batch, shard);
}

std::vector<int64_t> RandomSampler::indices(int64_t step) const {
  check_step(step, steps());
  return map_slice(step * global_batch_, global_batch_, shard_, [this](int64_t g) {
    const auto bits = static_cast<unsigned __int128>(draw(seed_, static_cast<uint64_t>(g)));
    return static_cast<int64_t>(bits * static_cast<uint64_t>(dataset_size_) >> 64);
  });
}

SequentialSampler::SequentialSampler(int64_t dataset_size, int64_t stride, int64_t global_batch,
                                     Shard shard)
    : stride_(stride), global_batch_(global_batch), shard_(shard) {
  check_training(dataset_size, global_batch, shard);
  require(stride >= 1, "sampler", "stride must be at least 1, got ", stride);
  samples_per_pass_ = (dataset_size - 1) / stride + 1;
}

std::vector<int64_t> SequentialSampler::indices(int64_t step) const {
  check_step(step, steps());
  return map_slice(step * global_batch_, global_batch_, shard_,
                   [this](int64_t g) { return g % samples_per_pass_ * stride_; });
}

PermutationSampler::PermutationSampler(int64_t dataset_size, int64_t global_batch, uint64_t seed,
                                       Shard shard)
    : dataset_size_(dataset_size), global_batch_(global_batch), seed_(seed), shard_(shard) {
  check_training(dataset_size, global_batch, shard);
  require(global_batch <= dataset_size, "sampler", "the batch must not exceed the dataset, got ",
          global_batch, " of ", dataset_size, " samples");
}

std::vector<int64_t> PermutationSampler::indices(int64_t step) const {
  check_step(step, steps());
  const int64_t epoch = step / steps_per_epoch();
  const Permutation order(dataset_size_, draw(seed_, static_cast<uint64_t>(epoch)));
  return map_slice(step % steps_per_epoch() * global_batch_, global_batch_, shard_,
                   [&](int64_t g) { return order.at(g); });
}

EvenSampler::EvenSampler(int64_t dataset_size, int64_t samples, int64_t global_batch, Shard shard)
    : dataset_size_(dataset_size), samples_(samples), global_batch_(global_batch), shard_(shard) {
  check_shard(shard);
  require(samples >= 1 && samples <= dataset_size, "sampler", "samples must lie in [1, ",
          dataset_size, "], got ", samples);
  require(global_batch >= 1, "sampler", "the batch must be at least 1, got ", global_batch);
}

std::vector<int64_t> EvenSampler::indices(int64_t step) const {
  check_step(step, steps());
  const int64_t begin = step * global_batch_;
  const int64_t count = std::min(global_batch_, samples_ - begin);
  return map_slice(begin, count, shard_, [this](int64_t g) {
    // Sample g of n stands at g / n of the way; the product does not fit 64 bits for huge data.
    const auto product = static_cast<unsigned __int128>(g) * static_cast<uint64_t>(dataset_size_);
    return static_cast<int64_t>(product / static_cast<uint64_t>(samples_));
  });
}

}  // namespace trireme
