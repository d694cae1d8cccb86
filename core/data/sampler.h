// Samplers: which samples make up a step, and which of them this rank takes.
//
// A sampler lays down one global sequence of batches from the seed alone; rank r of N takes the
// r-th contiguous slice of every global batch. So N ranks together see exactly the samples, in
// exactly the steps, that one rank would see, and the trajectory does not depend on N. A sampler
// has no state: the step number is the whole position, so a resumed run just goes on at its step.
//
// Immutable after construction; usable from several threads.

#pragma once

#include <cstdint>
#include <limits>
#include <vector>

namespace trireme {

/// This rank among the ranks that share each batch.
struct Shard {
  int rank = 0;
  int world_size = 1;
};

class Sampler {
 public:
  static constexpr int64_t kEndless = std::numeric_limits<int64_t>::max();

  virtual ~Sampler() = default;
  /// Number of steps; kEndless for training.
  virtual int64_t steps() const = 0;
  /// This rank's sample numbers of global batch `step`. Requires 0 <= step < steps().
  virtual std::vector<int64_t> indices(int64_t step) const = 0;
};

/// Draws every sample uniformly and independently: sample g = step * global_batch + i is the g-th
/// number of a Philox stream. For overlapping token windows, where epochs mean little.
class RandomSampler final : public Sampler {
 public:
  /// Requires dataset_size >= 1 and global_batch divisible by world_size.
  RandomSampler(int64_t dataset_size, int64_t global_batch, uint64_t seed, Shard shard = {});
  int64_t steps() const override { return kEndless; }
  std::vector<int64_t> indices(int64_t step) const override;

 private:
  int64_t dataset_size_, global_batch_;
  uint64_t seed_;
  Shard shard_;
};

/// Sample numbers 0, stride, 2 stride, ... in order, from the start again after the last one: token
/// windows end to end, as trainers that read a corpus once want them. Uses no seed.
class SequentialSampler final : public Sampler {
 public:
  /// Requires dataset_size >= 1, stride >= 1 and global_batch divisible by world_size.
  SequentialSampler(int64_t dataset_size, int64_t stride, int64_t global_batch, Shard shard = {});
  int64_t steps() const override { return kEndless; }
  std::vector<int64_t> indices(int64_t step) const override;

 private:
  int64_t stride_, samples_per_pass_, global_batch_;
  Shard shard_;
};

/// Each epoch visits the samples in a fresh random order, each at most once. The last
/// dataset_size % global_batch samples of an epoch's order are dropped, so all batches are full.
class PermutationSampler final : public Sampler {
 public:
  /// Requires 1 <= global_batch <= dataset_size and global_batch divisible by world_size.
  PermutationSampler(int64_t dataset_size, int64_t global_batch, uint64_t seed, Shard shard = {});
  int64_t steps() const override { return kEndless; }
  std::vector<int64_t> indices(int64_t step) const override;
  /// Step s belongs to epoch s / steps_per_epoch().
  int64_t steps_per_epoch() const { return dataset_size_ / global_batch_; }

 private:
  int64_t dataset_size_, global_batch_;
  uint64_t seed_;
  Shard shard_;
};

/// `samples` samples spread evenly over the dataset, in order and always the same ones: for
/// validation. With samples == dataset_size it is one whole pass. Nothing is dropped: the last
/// batch may be short, and a rank's slice of it empty, so results must be weighted by their sample
/// count.
class EvenSampler final : public Sampler {
 public:
  /// Requires 1 <= samples <= dataset_size and global_batch >= 1.
  EvenSampler(int64_t dataset_size, int64_t samples, int64_t global_batch, Shard shard = {});
  int64_t steps() const override { return (samples_ + global_batch_ - 1) / global_batch_; }
  std::vector<int64_t> indices(int64_t step) const override;

 private:
  int64_t dataset_size_, samples_, global_batch_;
  Shard shard_;
};

}  // namespace trireme
