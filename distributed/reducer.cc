#include "distributed/reducer.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "core/autograd/backward.h"
#include "core/autograd/gradient_slot.h"
#include "core/tensor/allocator.h"

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

Reducer::Reducer(StateDict parameters, Communicator& communicator, ReducerOptions options)
    : parameters_(std::move(parameters)),
      communicator_(communicator),
      options_(options),
      slots_(parameters_.size()),
      ready_(parameters_.size()),
      used_(parameters_.size()) {
  require(!parameters_.empty(), "reducer", "needs at least one parameter that requires a gradient");
  // Backward produces the last layer's gradient first, so reverse registration order is the guess.
  std::vector<int> order(parameters_.size());
  std::iota(order.rbegin(), order.rend(), 0);
  build(order);
  for (size_t i = 0; i < parameters_.size(); ++i) {
    hooks_.push_back(register_accumulate_hook(
        parameters_[i].second, [this, param = static_cast<int>(i)] { on_gradient(param); }));
  }
  hooks_.push_back(
      register_backward_start([this](const BackwardStart& start) { on_start(start.is_reached); }));
}

Reducer::~Reducer() {
  hooks_.clear();
  for (const auto& [name, p] : parameters_) set_gradient_slot(p, Tensor());
}

void Reducer::build(const std::vector<int>& order) {
  const std::vector<GradientSize> sizes = sizes_of(parameters_);
  std::vector<Bucket> buckets = plan_buckets(sizes, order, options_.sizes);
  std::vector<std::shared_ptr<void>> memory;
  for (size_t b = 0; b < buckets.size(); ++b) {
    const Bucket& bucket = buckets[b];
    memory.push_back(counted(communicator_.allocate(bucket.total_bytes), bucket.total_bytes));
    for (size_t i = 0; i < bucket.params.size(); ++i) {
      const Tensor& p = parameters_[bucket.params[i]].second;
      char* start = static_cast<char*>(memory[b].get()) + bucket.offset_bytes[i];
      // A storage of its own per slot, so that versions of different gradients stay apart.
      Ref<Storage> storage = Storage::borrow(start, p.nbytes(), p.device(), memory[b]);
      set_gradient_slot(p, Tensor(storage, 0, p.shape(), contiguous_strides(p.shape()), p.dtype()));
      slots_[bucket.params[i]] = {static_cast<int>(b), static_cast<int>(i)};
    }
  }
  buckets_ = std::move(buckets);
  memory_ = std::move(memory);
}

int64_t Reducer::bucket_bytes() const {
  int64_t bytes = 0;
  for (const Bucket& bucket : buckets_) bytes += bucket.total_bytes;
  return bytes;
}

void Reducer::on_start(const std::function<bool(const Tensor&)>& is_reached) {
  std::vector<bool> reached(parameters_.size());
  bool any = false;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    reached[i] = is_reached(parameters_[i].second);
    any = any || reached[i];
  }
  if (!any) return;  // a backward of something else
  require(state_ == State::kIdle, "reducer",
          "the previous backward failed half-way, so ranks no longer agree; restart from a "
          "checkpoint");
  state_ = sync_ ? State::kReducing : State::kAccumulating;
  queue_backward_callback([this] { finish(); });
  if (state_ == State::kAccumulating) return;

  running_.assign(buckets_.size(), {});
  for (size_t b = 0; b < buckets_.size(); ++b) {
    running_[b].pending = static_cast<int>(buckets_[b].params.size());
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

void Reducer::on_gradient(int param) {
  if (state_ != State::kReducing) return;
  TRIREME_ASSERT(!ready_[param]);
  if (!rebuilt_) observed_order_.push_back(param);
  mark_ready(param);
  launch_ready();
}

void Reducer::mark_ready(int param) {
  const Slot& slot = slots_[param];
  const Bucket& bucket = buckets_[slot.bucket];
  const Tensor& p = parameters_[param].second;
  // The accumulate hook fires for a gradient of zero (undefined) too; then nothing was written.
  const bool used = p.grad().defined();
  used_[param] = used;
  if (!used) {
    char* start = static_cast<char*>(memory_[slot.bucket].get());
    std::memset(start + bucket.offset_bytes[slot.position], 0, static_cast<size_t>(p.nbytes()));
  }
  write_flag(slot, used);
  ready_[param] = true;
  --running_[slot.bucket].pending;
}

void Reducer::launch_ready() {
  while (next_bucket_ < buckets_.size() && running_[next_bucket_].pending == 0) {
    const Bucket& bucket = buckets_[next_bucket_];
    running_[next_bucket_].work = communicator_.all_reduce(
        memory_[next_bucket_].get(), bucket.count(), bucket.dtype, ReduceOp::kAverage);
    ++next_bucket_;
  }
}

void Reducer::finish() {
  if (state_ == State::kAccumulating) {
    state_ = State::kIdle;
    return;
  }
  if (next_bucket_ < buckets_.size()) {
    std::string missing;
    for (size_t i = 0; i < parameters_.size(); ++i) {
      if (!ready_[i]) missing += concat(missing.empty() ? "" : ", ", parameters_[i].first);
    }
    fail("reducer", "backward ended without the gradients of ", missing);
  }
  for (Running& bucket : running_) bucket.work->wait();
  state_ = State::kIdle;

  const double all = 1.0 - 0.5 / communicator_.world_size();  // tolerates rounding of 1/N
  std::vector<int> unused;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const double share = read_flag(slots_[i]);
    if (share < all) unused.push_back(static_cast<int>(i));
    if (share > 0) {
      mark_gradient_written(parameters_[i].second);
    } else {
      Tensor(parameters_[i].second).zero_grad();
    }
  }
  if (!unused.empty() && options_.unused == UnusedParameters::kError) fail_unused(unused);
  if (!rebuilt_) rebuild_in_observed_order();
}

void Reducer::rebuild_in_observed_order() {
  rebuilt_ = true;
  // Parameters without gradient in this backward come last. Only rank 0's order counts.
  std::vector<bool> seen(parameters_.size());
  for (int p : observed_order_) seen[p] = true;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (!seen[i]) observed_order_.push_back(static_cast<int>(i));
  }
  communicator_
      .broadcast(observed_order_.data(), static_cast<int64_t>(observed_order_.size() * sizeof(int)),
                 0)
      ->wait();
  // plan_buckets refuses anything but a permutation, so a damaged message cannot misplace
  // gradients.
  const std::vector<int> order = std::move(observed_order_);
  build(order);
}

void Reducer::fail_unused(const std::vector<int>& params) {
  const auto world = static_cast<size_t>(communicator_.world_size());
  std::vector<uint8_t> mine(parameters_.size()), all(parameters_.size() * world);
  for (size_t i = 0; i < mine.size(); ++i) mine[i] = used_[i];
  communicator_.all_gather(mine.data(), all.data(), static_cast<int64_t>(mine.size()))->wait();
  std::string text;
  for (int p : params) {
    text += concat("\n  ", parameters_[p].first, ": used on");
    std::string ranks;
    for (size_t r = 0; r < world; ++r) {
      if (all[r * mine.size() + p]) ranks += concat(ranks.empty() ? " rank " : ", ", r);
    }
    text += ranks.empty() ? " no rank" : ranks;
  }
  // No gradient is left that an optimizer could step with by mistake.
  for (const auto& [name, p] : parameters_) Tensor(p).zero_grad();
  fail("reducer", "backward did not use these parameters on every rank:", text,
       "\nuse them in the loss, or construct with UnusedParameters::kAllow");
}

void Reducer::write_flag(const Slot& slot, bool used) {
  const Bucket& bucket = buckets_[slot.bucket];
  char* flags = static_cast<char*>(memory_[slot.bucket].get()) + bucket.flags_offset_bytes;
  dispatch_floating("reducer", bucket.dtype, [&](auto tag) {
    reinterpret_cast<typename decltype(tag)::type*>(flags)[slot.position] = used ? 1 : 0;
  });
}

double Reducer::read_flag(const Slot& slot) const {
  const Bucket& bucket = buckets_[slot.bucket];
  const char* flags =
      static_cast<const char*>(memory_[slot.bucket].get()) + bucket.flags_offset_bytes;
  return dispatch_floating("reducer", bucket.dtype, [&](auto tag) {
    return static_cast<double>(
        reinterpret_cast<const typename decltype(tag)::type*>(flags)[slot.position]);
  });
}

}  // namespace trireme
