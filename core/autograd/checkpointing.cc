// A region hands out a slot for each tensor that its ops keep. Slots are filled when the region
// runs again: the i-th tensor kept then is the i-th that was kept first.

#include "core/autograd/checkpointing.h"

#include <memory>
#include <optional>

#include "core/autograd/autocast_state.h"
#include "core/autograd/backward.h"
#include "core/autograd/no_grad.h"
#include "core/autograd/saved.h"
#include "core/autograd/saved_tensor_hooks.h"
#include "core/base/philox.h"

namespace trireme {
namespace {

using Tensors = std::vector<Tensor>;
using Function = std::function<Tensors(const Tensors&)>;

/// One call of Generator::reserve.
struct Draw {
  uint64_t seed, count, first;
};

/// Installs itself in front of the thread's generators. Tapes nest.
class TapeScope : public RandomTape {
 protected:
  TapeScope() : outer_(detail::random_tape) { detail::random_tape = this; }
  ~TapeScope() { detail::random_tape = outer_; }
  RandomTape* outer_;
};

class RecordingTape final : TapeScope {
 public:
  explicit RecordingTape(std::vector<Draw>& draws) : draws_(draws) {}
  uint64_t reserve(Generator& generator, uint64_t count) override {
    const uint64_t first = outer_ ? outer_->reserve(generator, count) : generator.advance(count);
    draws_.push_back({generator.seed(), count, first});
    return first;
  }

 private:
  std::vector<Draw>& draws_;
};

class ReplayingTape final : TapeScope {
 public:
  explicit ReplayingTape(const std::vector<Draw>& draws) : draws_(draws) {}
  uint64_t reserve(Generator& generator, uint64_t count) override {
    require(next_ < draws_.size() && draws_[next_].seed == generator.seed() &&
                draws_[next_].count == count,
            "checkpoint", "the function drew other random numbers when it ran again, at draw ",
            next_ + 1, " of ", draws_.size());
    return draws_[next_++].first;
  }

 private:
  const std::vector<Draw>& draws_;
  size_t next_ = 0;
};

class Region : public std::enable_shared_from_this<Region> {
 public:
  Region(Function fn, const Tensors& inputs) : fn_(std::move(fn)) {
    for (const Tensor& x : inputs) {
      inputs_.push_back(x.defined() ? std::optional(save(x)) : std::nullopt);
    }
  }

  Tensors run_first(const Tensors& inputs) {
    Tensors results;
    {
      const SavedTensorHooks hooks(
          [region = shared_from_this()](const Tensor& x) { return region->keep(x); });
      const RecordingTape tape(draws_);
      results = fn_(inputs);
    }
    is_first_run_ = false;
    drop_tensors();
    return results;
  }

 private:
  struct Slot {
    Tensor tensor;
  };
  struct Kept {
    std::weak_ptr<Slot> slot;  // gone: backward does not need it any more
    Shape shape;
    DType dtype;
    Device device;
  };
  /// Ends the second run when the last tensor that is wanted is there. No std::exception: what
  /// catches errors inside the region must not stop it.
  struct Enough {
    const Region* region;
  };

  // The first run keeps its tensors up to its end: a backward inside it needs them.
  SavedTensorHooks::Unpack keep(const Tensor& x) {
    auto slot = std::make_shared<Slot>(Slot{x});
    kept_.push_back({slot, x.shape(), x.dtype(), x.device()});
    return [region = shared_from_this(), slot] { return region->take(*slot); };
  }

  Tensor take(Slot& slot) {
    if (is_first_run_) return slot.tensor;
    if (!slot.tensor.defined()) run_again();
    require(slot.tensor.defined(), "checkpoint", "the function kept ", kept_.size(),
            " tensors for backward when it ran first, but fewer when it ran again; it must do the "
            "same both times");
    return std::exchange(slot.tensor, Tensor());
  }

  void run_again() {
    if (in_backward()) {
      // What this pass does not come to is not kept beyond it.
      queue_backward_callback([weak = weak_from_this()] {
        if (const auto region = weak.lock()) region->drop_tensors();
      });
    }
    const EnableGrad record;
    const detail::AutocastReplay autocast(autocast_);
    Tensors inputs;
    for (const auto& x : inputs_) inputs.push_back(x ? (*x)() : Tensor());
    size_t wanted = kept_.size();
    while (wanted > 0 && kept_[wanted - 1].slot.expired()) --wanted;
    size_t next = 0;
    const SavedTensorHooks hooks([&](const Tensor& x) -> SavedTensorHooks::Unpack {
      fill(next++, x);
      if (next == wanted) throw Enough{this};
      return [x] { return x; };
    });
    const ReplayingTape tape(draws_);
    try {
      fn_(inputs);
    } catch (const Enough& enough) {
      if (enough.region != this) throw;
    }
  }

  void fill(size_t i, const Tensor& x) {
    const Kept& kept = kept_[i];
    require(x.shape() == kept.shape && x.dtype() == kept.dtype && x.device() == kept.device,
            "checkpoint", "tensor ", i + 1, " that the function kept for backward was ", kept.dtype,
            kept.shape, " on ", kept.device, " when it ran first, but ", x.dtype(), x.shape(),
            " on ", x.device(), " when it ran again; it must do the same both times");
    if (const auto slot = kept.slot.lock()) slot->tensor = x;
  }

  void drop_tensors() {
    for (const Kept& kept : kept_) {
      if (const auto slot = kept.slot.lock()) slot->tensor = Tensor();
    }
  }

  const Function fn_;
  std::vector<std::optional<Saved>> inputs_;
  const DType autocast_ = detail::autocast_state.dtype;
  std::vector<Draw> draws_;
  std::vector<Kept> kept_;
  bool is_first_run_ = true;
};

}  // namespace

std::vector<Tensor> checkpoint(std::function<std::vector<Tensor>(const std::vector<Tensor>&)> fn,
                               const std::vector<Tensor>& inputs) {
  require(fn != nullptr, "checkpoint", "the function is null");
  if (!is_recording()) return fn(inputs);
  return std::make_shared<Region>(std::move(fn), inputs)->run_first(inputs);
}

Tensor checkpoint(std::function<Tensor(const std::vector<Tensor>&)> fn,
                  const std::vector<Tensor>& inputs) {
  require(fn != nullptr, "checkpoint", "the function is null");
  const Function several = [fn = std::move(fn)](const Tensors& in) { return Tensors{fn(in)}; };
  Tensor result = checkpoint(several, inputs)[0];
  require(result.defined(), "checkpoint", "the result of the function is undefined");
  return result;
}

}  // namespace trireme
