// Reducer: averages gradients over ranks while backward is still computing others.
//
// Gradients live in buckets of communicator memory from the start (gradient slots), so nothing is
// copied and gradient memory is 1.0 times the parameters. When the last gradient of a bucket is
// complete and all earlier buckets have been started, its all-reduce starts in the background.
// Buckets start strictly in index order, the same on every rank.
//
// Each bucket ends with one flag per parameter: 1 if this rank's backward used it. The average of
// the flags comes for free with the gradients and tells every rank alike which parameters some rank
// did not use. What then happens is a policy: an error, raised in the same backward on every rank,
// that names the parameters and the ranks that used them; or the average with zero for the ranks
// that did not (a parameter nobody used keeps no gradient).
//
// After the first synchronised backward the buckets are planned anew, once, in the order in which
// rank 0 saw gradients complete.
//
// Threads: construct, use and destroy on the thread that calls backward().

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/autograd/hooks.h"
#include "core/tensor/state_dict.h"
#include "distributed/bucket_plan.h"
#include "distributed/communicator.h"

namespace trireme {

enum class UnusedParameters { kError, kAllow };

struct ReducerOptions {
  BucketSizes sizes;
  UnusedParameters unused = UnusedParameters::kError;
};

class Reducer {
 public:
  /// `parameters` in registration order, the same on every rank (DistributedDataParallel checks
  /// it). Collective: allocates the buckets.
  Reducer(StateDict parameters, Communicator& communicator, ReducerOptions options);
  ~Reducer();
  Reducer(const Reducer&) = delete;

  /// Whether the next backward reduces. Read when a backward starts; false accumulates locally.
  void set_sync(bool sync) { sync_ = sync; }
  bool sync() const { return sync_; }

  const std::vector<Bucket>& buckets() const { return buckets_; }
  bool is_rebuilt() const { return rebuilt_; }
  /// Bytes of all buckets, alignment and flags included.
  int64_t bucket_bytes() const;

 private:
  enum class State {
    kIdle,          // no backward of these parameters is running
    kAccumulating,  // one is, without synchronisation
    kReducing,      // one is, with
  };
  struct Slot {  // where a parameter's gradient lives
    int bucket = 0;
    int position = 0;
  };
  struct Running {  // a bucket during a synchronised backward
    int pending = 0;
    WorkPtr work;
  };

  void build(const std::vector<int>& order);
  void on_start(const std::function<bool(const Tensor&)>& is_reached);
  void on_gradient(int param);
  void mark_ready(int param);
  void launch_ready();
  void finish();
  void rebuild_in_observed_order();
  [[noreturn]] void fail_unused(const std::vector<int>& params);
  void write_flag(const Slot& slot, bool used);
  double read_flag(const Slot& slot) const;

  const StateDict parameters_;
  Communicator& communicator_;
  const ReducerOptions options_;

  std::vector<Bucket> buckets_;
  std::vector<std::shared_ptr<void>> memory_;  // of each bucket
  std::vector<Slot> slots_;                    // of each parameter
  std::vector<HookHandle> hooks_;

  bool sync_ = true;
  bool rebuilt_ = false;
  State state_ = State::kIdle;
  std::vector<Running> running_;
  size_t next_bucket_ = 0;
  std::vector<bool> ready_;          // in this backward
  std::vector<bool> used_;           // has a gradient, own or accumulated
  std::vector<int> observed_order_;  // of the first synchronised backward
};

}  // namespace trireme
