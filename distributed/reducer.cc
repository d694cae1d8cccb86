#include "distributed/reducer.h"

#include <algorithm>
#include <numeric>

#include "core/autograd/backward.h"
#include "core/base/config.h"
#include "core/base/trace_range.h"
#include "core/cuda/graph.h"
#include "distributed/replica_check.h"

namespace trireme {
namespace {

StateDict select(const StateDict& parameters, bool trained) {
  StateDict result;
  for (const auto& [name, p] : parameters) {
    if (p.requires_grad() == trained) result.emplace_back(name, p);
  }
  return result;
}

}  // namespace

Reducer::Reducer(const StateDict& parameters, Communicator& communicator, ReducerOptions options)
    : parameters_(select(parameters, true)),
      fixed_(select(parameters, false)),
      communicator_(communicator),
      options_(options),
      gradients_(parameters_, communicator, options.sizes),
      ready_(parameters_.size()),
      used_(parameters_.size()) {
  require(!parameters_.empty(), "reducer", "needs at least one parameter that requires a gradient");
  // Backward produces the last layer's gradient first, so reverse registration order is the guess.
  std::vector<int> order(parameters_.size());
  std::iota(order.rbegin(), order.rend(), 0);
  if (!is_alone()) gradients_.plan(order);
  rebuilt_ = is_alone();
  for (size_t i = 0; i < parameters_.size(); ++i) {
    hooks_.push_back(register_accumulate_hook(
        parameters_[i].second, [this, param = static_cast<int>(i)] { on_gradient(param); }));
  }
  hooks_.push_back(
      register_backward_start([this](const BackwardStart& start) { on_start(start.is_reached); }));
}

// An exception that leaves backward unwinds through here while buckets are being reduced.
Reducer::~Reducer() {
  const bool in_use = std::any_of(running_.begin(), running_.end(), [](const Running& bucket) {
    return bucket.work && !bucket.work->is_done();
  });
  if (in_use) communicator_.abort("gradient buckets destroyed during backward");
  bool failed = false;
  for (const Running& bucket : running_) {
    try {
      if (bucket.work) bucket.work->wait();
    } catch (const std::exception&) {
      failed = true;
    }
  }
  if (failed) gradients_.keep_for_ever();
}

void Reducer::on_start(const std::function<bool(const Tensor&)>& is_reached) {
  std::vector<bool> reached(parameters_.size());
  bool any = false;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Tensor& p = parameters_[i].second;
    reached[i] = gradients_.slot(static_cast<int>(i)).belongs_to(p) && is_reached(p);
    any = any || reached[i];
  }
  if (!any) return;  // a backward of something else
  check_unchanged();
  require(state_ != State::kReducing, "reducer",
          "the previous backward failed half-way, so ranks no longer agree; restart from a "
          "checkpoint");
  if constexpr (kHasCuda) {
    // The replays would write into the old buckets.
    if (!rebuilt_) {
      cuda::refuse_while_capturing(
          "ddp", "the first backward that averages gradients plans buckets: run it before");
    }
  }
  state_ = sync_ ? State::kReducing : State::kAccumulating;
  queue_backward_callback([this] { finish(); });
  if (state_ == State::kAccumulating) return;

  running_.assign(buckets().size(), {});
  for (size_t b = 0; b < running_.size(); ++b) {
    running_[b].pending = static_cast<int>(buckets()[b].params.size());
    if (b == range_names_.size()) range_names_.push_back(concat("bucket ", b));
  }
  next_bucket_ = 0;
  observed_order_.clear();
  ready_.assign(parameters_.size(), false);
  // What this backward does not reach is complete already: with what earlier unsynchronised
  // backwards left there, or with nothing.
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (!reached[i]) mark_ready(static_cast<int>(i));
  }
  launch_ready();
}

// Buckets and hooks are made for the parameters that needed a gradient then.
void Reducer::check_unchanged() {
  const auto check = [](bool same, const std::string& name) {
    require(same, "reducer", "requires_grad of ", name,
            " was changed after DistributedDataParallel was constructed; freeze parameters before "
            "that, or construct it anew");
  };
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const auto& [name, p] = parameters_[i];
    check(gradients_.slot(static_cast<int>(i)).belongs_to(p), name);
  }
  for (const auto& [name, p] : fixed_) check(!p.requires_grad(), name);
}

void Reducer::on_gradient(int param) {
  if (state_ == State::kAccumulating) return;
  if (state_ == State::kIdle || ready_[param]) fail_unexpected(param);
  if (!rebuilt_) observed_order_.push_back(param);
  mark_ready(param);
  launch_ready();
}

void Reducer::fail_unexpected(int param) const {
  const std::string& name = parameters_[param].first;
  if (std::this_thread::get_id() != thread_) {
    fail("reducer", "the gradient of ", name,
         " was computed on another thread than the one that constructed DistributedDataParallel, "
         "so it is not averaged over ranks; construct and call backward on the same thread");
  }
  fail("reducer", "the gradient of ", name,
       " was computed by a backward inside another backward, so it is not averaged over ranks; run "
       "one after the other, or the outer one under no_sync()");
}

void Reducer::mark_ready(int param) {
  // The accumulate hook fires for a gradient of zero (undefined) too; then nothing was written.
  used_[param] = parameters_[param].second.grad().defined();
  ready_[param] = true;
  if (is_alone()) return;
  gradients_.set_used(param, used_[param]);
  --running_[gradients_.bucket_of(param)].pending;
}

void Reducer::launch_ready() {
  while (next_bucket_ < running_.size() && running_[next_bucket_].pending == 0) {
    const size_t b = next_bucket_;
    const TraceRange range(range_names_[b].c_str());
    running_[b].work = communicator_.all_reduce(gradients_.data(b), gradients_.message_count(b),
                                                buckets()[b].dtype, ReduceOp::kAverage);
    ++next_bucket_;
  }
}

void Reducer::finish() {
  if (state_ == State::kAccumulating) {
    state_ = State::kIdle;
    return;
  }
  const TraceRange range("end_of_backward");
  if (std::find(ready_.begin(), ready_.end(), false) != ready_.end()) {
    std::string missing;
    for (size_t i = 0; i < parameters_.size(); ++i) {
      if (!ready_[i]) missing += concat(missing.empty() ? "" : ", ", parameters_[i].first);
    }
    fail("reducer", "backward ended without the gradients of ", missing);
  }
  if (is_alone()) communicator_.check();  // what a collective would do
  for (const Running& bucket : running_) bucket.work->wait();
  running_.clear();

  const double all = 1.0 - 0.5 / communicator_.world_size();  // tolerates rounding of 1/N
  const std::vector<double> shares = used_shares();
  std::vector<int> unused;
  for (size_t i = 0; i < shares.size(); ++i) {
    const int param = static_cast<int>(i);
    if (shares[i] < all) unused.push_back(param);
    if (shares[i] == 0) {
      gradients_.slot(param).forget();
    } else if (!is_alone()) {
      gradients_.slot(param).mark_written();
    }
  }
  // An error that all ranks see alike: they may go on together.
  if (!unused.empty() && options_.unused == UnusedParameters::kError) {
    state_ = State::kIdle;
    fail_unused(unused);
  }
  if (!rebuilt_) rebuild_in_observed_order();
  state_ = State::kIdle;
}

std::vector<double> Reducer::used_shares() {
  std::vector<double> shares(parameters_.size());
  if (is_alone()) {
    std::copy(used_.begin(), used_.end(), shares.begin());
    return shares;
  }
  if (gradients_.has_flags()) {
    for (size_t i = 0; i < shares.size(); ++i) {
      shares[i] = gradients_.used_share(static_cast<int>(i));
    }
    return shares;
  }
  uint8_t anything_unused = std::find(used_.begin(), used_.end(), false) != used_.end();
  communicator_.host().all_reduce(&anything_unused, 1, DType::kU8, ReduceOp::kMax)->wait();
  if (!anything_unused) return {};
  const std::vector<uint8_t> all = gather_used();
  for (size_t i = 0; i < all.size(); ++i) shares[i % shares.size()] += all[i];
  for (double& share : shares) share /= communicator_.world_size();
  return shares;
}

std::vector<uint8_t> Reducer::gather_used() {
  std::vector<uint8_t> mine(parameters_.size());
  for (size_t i = 0; i < mine.size(); ++i) mine[i] = used_[i];
  std::vector<uint8_t> all(mine.size() * static_cast<size_t>(communicator_.world_size()));
  communicator_.host()
      .all_gather(mine.data(), all.data(), static_cast<int64_t>(mine.size()))
      ->wait();
  return all;
}

void Reducer::rebuild_in_observed_order() {
  rebuilt_ = true;
  // Parameters without gradient in this backward come last. Only rank 0's order counts.
  std::vector<bool> seen(parameters_.size());
  for (int p : observed_order_) seen[p] = true;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (!seen[i]) observed_order_.push_back(static_cast<int>(i));
  }
  communicator_.host()
      .broadcast(observed_order_.data(), static_cast<int64_t>(observed_order_.size() * sizeof(int)),
                 0)
      ->wait();
  // Ranks whose buckets differ would add up gradients of different parameters.
  Description names;
  for (const int p : observed_order_) names.push_back(parameters_.at(p).first);
  require_same_on_all_ranks("reducer: order of gradients", names, communicator_);
  gradients_.plan(observed_order_);
}

void Reducer::fail_unused(const std::vector<int>& params) {
  const auto world = static_cast<size_t>(communicator_.world_size());
  const std::vector<uint8_t> all = gather_used();
  std::string text;
  for (int p : params) {
    text += concat("\n  ", parameters_[p].first, ": used on");
    std::string ranks;
    for (size_t r = 0; r < world; ++r) {
      if (all[r * parameters_.size() + static_cast<size_t>(p)])
        ranks += concat(ranks.empty() ? " rank " : ", ", r);
    }
    text += ranks.empty() ? " no rank" : ranks;
  }
  // No gradient is left that an optimizer could step with by mistake.
  for (const auto& [name, p] : parameters_) Tensor(p).zero_grad();
  fail("reducer", "backward did not use these parameters on every rank:", text,
       "\nuse them in the loss, or construct with UnusedParameters::kAllow");
}

}  // namespace trireme
