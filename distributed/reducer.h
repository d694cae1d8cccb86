// Reducer: averages gradients over ranks while backward is still computing others.
//
// One rank alone has nothing to average: it has no buckets, its gradients stay autograd's own, and
// only the rules about unused parameters and failed backwards apply.
//
// Gradients live in buckets of communicator memory from the start (gradient_buckets.h). When the
// last gradient of a bucket is complete and all earlier buckets have been started, its all-reduce
// starts in the background. Buckets start strictly in index order, the same on every rank.
//
// In host memory each bucket ends with one flag per parameter: 1 if this rank's backward used it.
// The average of the flags comes for free with the gradients and tells every rank alike which
// parameters some rank did not use. On GPUs the hosts ask each other at the end of backward whether
// anybody has left out something, one byte, and only then which. What then happens is a policy: an
// error, raised in the same backward on every rank, that names the parameters and the ranks that
// used them; or the average with zero for the ranks that did not (a parameter nobody used keeps no
// gradient).
//
// After the first synchronised backward the buckets are planned anew, once, in the order in which
// rank 0 saw gradients complete; nothing moves if that is the order they have. Ranks compare the
// order before they use it.
//
// A backward that throws half-way leaves ranks that no longer agree, so no synchronised backward
// follows it. One without synchronisation (set_sync(false)) concerns this rank only: after
// zero_grad() training may go on.
//
// On a GPU nothing waits on the host: each bucket's all-reduce is ordered behind what the current
// stream has been given when the bucket is complete, and at the end of backward that stream is
// ordered behind all of them. A backward that is captured for replays is refused until the buckets
// have been planned anew. Construct, run backward and step on one current stream; a gradient
// that is written on another one must be ordered before that by whoever does it.
//
// Threads: construct, use and destroy on the thread that calls backward(). A gradient that comes
// from another thread's backward is an error.

#pragma once

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "core/autograd/hooks.h"
#include "core/tensor/state_dict.h"
#include "distributed/communicator.h"
#include "distributed/gradient_buckets.h"

namespace trireme {

enum class UnusedParameters { kError, kAllow };

struct ReducerOptions {
  BucketSizes sizes;
  UnusedParameters unused = UnusedParameters::kError;
};

class Reducer {
 public:
  /// `parameters` in registration order, the same on every rank (DistributedDataParallel checks
  /// it). Those that need no gradient now must not need one later, and the other way round: a
  /// backward after such a change is refused. Collective: allocates the buckets.
  Reducer(const StateDict& parameters, Communicator& communicator, ReducerOptions options);
  /// Never throws. If it is destroyed in the middle of a synchronised backward, aborts the
  /// communicator and waits until no collective uses the buckets; see also is_reducing().
  ~Reducer();
  Reducer(const Reducer&) = delete;

  /// Whether the next backward reduces. Read when a backward starts; false accumulates locally.
  void set_sync(bool sync) { sync_ = sync; }
  bool sync() const { return sync_; }
  /// True while a synchronised backward runs, and after one has thrown half-way. Peers then wait
  /// for this rank: whoever catches the error should abort the communicator with its text.
  bool is_reducing() const { return state_ == State::kReducing; }

  /// In the order in which they are reduced; none on one rank alone.
  const std::vector<Bucket>& buckets() const { return gradients_.buckets(); }
  bool is_rebuilt() const { return rebuilt_; }
  /// Bytes of all buckets, alignment and flags included.
  int64_t bucket_bytes() const { return gradients_.bytes(); }

 private:
  enum class State {
    kIdle,          // no backward of these parameters is running
    kAccumulating,  // one is, without synchronisation, or failed half-way
    kReducing,      // one is, with, or failed half-way
  };
  struct Running {  // a bucket during a synchronised backward
    int pending = 0;
    WorkPtr work;
  };

  void on_start(const std::function<bool(const Tensor&)>& is_reached);
  void check_unchanged();
  void on_gradient(int param);
  void mark_ready(int param);
  void launch_ready();
  void finish();
  bool is_alone() const { return communicator_.world_size() == 1; }
  /// Per parameter: the share of the ranks whose backward used it. Empty: all used everything.
  std::vector<double> used_shares();
  std::vector<uint8_t> gather_used();  // [ranks, parameters], by rank
  void rebuild_in_observed_order();
  [[noreturn]] void fail_unexpected(int param) const;
  [[noreturn]] void fail_unused(const std::vector<int>& params);

  const StateDict parameters_;  // that need a gradient
  const StateDict fixed_;       // that do not
  Communicator& communicator_;
  const ReducerOptions options_;
  const std::thread::id thread_ = std::this_thread::get_id();

  GradientBuckets gradients_;
  std::vector<HookHandle> hooks_;

  bool sync_ = true;
  bool rebuilt_ = false;
  State state_ = State::kIdle;
  std::vector<Running> running_;  // one per bucket
  size_t next_bucket_ = 0;
  std::vector<std::string> range_names_;  // "bucket 0", ...: what profilers see of launches
  std::vector<bool> ready_;               // in this backward
  std::vector<bool> used_;                // has a gradient, own or accumulated
  std::vector<int> observed_order_;       // of the first synchronised backward
};

}  // namespace trireme
