#include "distributed/ddp.h"

#include "core/autograd/backward.h"
#include "core/autograd/gradient_slot.h"
#include "core/base/config.h"
#include "core/tensor/create.h"
#include "core/tensor/transfer.h"
#include "distributed/replica_check.h"

namespace trireme {
namespace {

Description describe(const Module& module, const ReducerOptions& options) {
  Description lines;
  lines.push_back(concat("trireme ", kVersion, ", buckets ", options.sizes.head_bytes, "/",
                         options.sizes.cap_bytes, "/", options.sizes.tail_bytes, ", unused ",
                         options.unused == UnusedParameters::kError ? "error" : "allow"));
  const auto add = [&](const char* kind, const std::string& name, const Tensor& t) {
    lines.push_back(concat(kind, " ", name, " ", t.dtype(), t.shape(), " strides ", t.strides(),
                           t.requires_grad() ? " trained" : " fixed",
                           has_gradient_slot(t) ? ", already wrapped" : ""));
  };
  for (const auto& [name, p] : module.named_parameters()) add("parameter", name, p);
  for (const auto& [name, b] : module.named_buffers()) add("buffer", name, b);
  return lines;
}

void broadcast_all(const StateDict& tensors, Communicator& communicator) {
  // Nothing may throw while a collective uses these buffers.
  for (const auto& [name, t] : tensors) {
    require(t.is_contiguous(), "ddp", name, " must be contiguous, has strides ", t.strides());
    require(t.device() == communicator.device(), "ddp", name, " is on ", t.device(),
            ", but the communicator moves data on ", communicator.device(),
            "; move the module there before it is wrapped");
  }
  std::vector<WorkPtr> started;
  communicator.run_grouped([&] {
    for (const auto& [name, t] : tensors) {
      started.push_back(communicator.broadcast(t.raw_data(), t.nbytes(), 0));
    }
  });
  for (const WorkPtr& work : started) work->wait();
  for (const auto& [name, t] : tensors) t.bump_version();
}

void require_not_wrapped(const StateDict& parameters) {
  for (const auto& [name, p] : parameters) {
    require(!has_gradient_slot(p), "ddp", name,
            " is already wrapped by another DistributedDataParallel; destroy that one first");
  }
}

}  // namespace

DistributedDataParallel::DistributedDataParallel(Module& module, Communicator& communicator,
                                                 ReducerOptions options)
    : module_(module), communicator_(communicator) {
  require_same_on_all_ranks("ddp", describe(module, options), communicator);
  require_not_wrapped(module.named_parameters());
  broadcast_parameters();
  broadcast_buffers();
  reducer_ = std::make_unique<Reducer>(module.named_parameters(), communicator, options);
}

void DistributedDataParallel::backward(const Tensor& loss) {
  try {
    micro_backward(loss);
  } catch (const CommError&) {
    throw;
  } catch (const std::exception& error) {
    // The peers learn the cause before this rank's unwinding gives them another one.
    if (reducer_->is_reducing()) communicator_.abort(error.what());
    throw;
  }
}

void DistributedDataParallel::micro_backward(const Tensor& loss) {
  if (accumulate_ == 1) {
    trireme::backward(loss);
    return;
  }
  require(loss.defined() && loss.numel() == 1, "ddp", "backward needs a loss of one element, got ",
          loss.defined() ? concat("shape ", loss.shape()) : "an undefined tensor");
  const Tensor share = full(loss.shape(), 1.0 / accumulate_, {loss.dtype(), loss.device()});
  if (micro_step_ + 1 == accumulate_) {
    micro_step_ = 0;
    trireme::backward(loss, {.gradient = share});
  } else {
    const NoSync local = no_sync();
    // One that throws has added a part of its gradients, so none of the step's counts.
    const int done = std::exchange(micro_step_, 0);
    trireme::backward(loss, {.gradient = share});
    micro_step_ = done + 1;
  }
}

void DistributedDataParallel::accumulate(int k) {
  require(k >= 1, "ddp", "accumulate needs at least 1, got ", k);
  require(micro_step_ == 0, "ddp", "accumulate cannot change in the middle of a step, ",
          micro_step_, " of ", accumulate_, " done");
  accumulate_ = k;
}

void DistributedDataParallel::broadcast_parameters() {
  broadcast_all(module_.named_parameters(), communicator_);
}

void DistributedDataParallel::broadcast_buffers() {
  broadcast_all(module_.named_buffers(), communicator_);
}

void DistributedDataParallel::check_replicas() {
  Description lines;
  for (const auto& [name, p] : module_.named_parameters()) {
    const Tensor here = to_device(p.detach(), Device{});
    lines.push_back(
        concat(name, " digest ", digest_of(here.raw_data(), static_cast<size_t>(p.nbytes()))));
  }
  require_same_on_all_ranks("check_replicas", lines, communicator_);
}

}  // namespace trireme
