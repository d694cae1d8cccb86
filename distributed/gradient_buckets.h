// GradientBuckets: the communicator memory in which gradients live, bucket by bucket.
//
// Gradients are written into the buckets by autograd itself (gradient slots), so nothing is copied
// and gradient memory is 1.0 times the parameters. Behind its gradients a bucket in host memory has
// one flag per parameter: 1 where this rank's backward used it, and after an averaging all-reduce
// the share of the ranks that did. On a GPU writing and reading flags would cost kernels and waits,
// so there buckets have none (has_flags) and the ranks' hosts tell each other.
//
// Streams: on a GPU buckets are allocated, zeroed and zeroed again on the current stream, which
// must be the one that backward runs on.
//
// Threads: as Reducer.

#pragma once

#include <memory>
#include <vector>

#include "core/autograd/gradient_slot.h"
#include "core/tensor/state_dict.h"
#include "distributed/bucket_plan.h"
#include "distributed/communicator.h"

namespace trireme {

class GradientBuckets {
 public:
  /// Claims the parameters' gradient slots. Requires leaves that need a gradient and have no slot.
  GradientBuckets(const StateDict& parameters, Communicator& communicator,
                  const BucketSizes& sizes);

  /// Lays buckets out for gradients that become complete in `order`, and moves existing gradients
  /// there. Collective. Does nothing if that is the plan already. Old buckets go one by one, as
  /// soon as their last gradient has moved, so gradient memory stays near 1.0 times the parameters
  /// (where the order is turned upside down, at most a few buckets more).
  void plan(const std::vector<int>& order);

  const std::vector<Bucket>& buckets() const { return buckets_; }
  void* data(size_t bucket) const { return memory_[bucket].get(); }
  int64_t bytes() const;  // of all buckets, alignment and flags included
  /// Elements of a bucket that are to be all-reduced.
  int64_t message_count(size_t bucket) const;
  bool has_flags() const { return has_flags_; }

  // One parameter's part, by its index in the constructor's `parameters`.
  int bucket_of(int param) const { return places_[param].bucket; }
  GradientSlot& slot(int param) { return slots_[param]; }
  /// Writes the flag, if there are flags; what is not used counts as zero.
  void set_used(int param, bool used);
  /// Requires has_flags().
  double used_share(int param) const;

  /// For buckets that peers, or MPI, may still read and write after a collective has failed: nobody
  /// can tell when they stop, so the memory stays until the process ends. The gradients are
  /// forgotten.
  void keep_for_ever() noexcept;

 private:
  struct Place {
    int bucket = 0;
    int position = 0;
  };
  char* at(int bucket, int64_t offset_bytes) const {
    return static_cast<char*>(memory_[bucket].get()) + offset_bytes;
  }

  std::shared_ptr<void> allocate(int64_t bytes);

  const StateDict parameters_;
  Communicator& communicator_;
  const BucketSizes sizes_;
  const bool has_flags_;
  std::vector<Bucket> buckets_;
  std::vector<std::shared_ptr<void>> memory_;  // of each bucket
  std::vector<Place> places_;                  // of each parameter
  std::vector<Tensor> parts_;                  // of the buckets, of each parameter
  std::vector<GradientSlot> slots_;            // of each parameter
};

}  // namespace trireme
