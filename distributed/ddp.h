// DistributedDataParallel: the same model on every rank, gradients averaged during backward.
//
//   Gpt model(config, generator);
//   DistributedDataParallel ddp(model, *communicator);   // checks and broadcasts from rank 0
//   for (...) {
//     Tensor loss = model.loss(ids, targets);            // the module itself is used as before
//     ddp.backward(loss);                                // gradients are averages when it returns
//     optimizer.step();
//     optimizer.zero_grad();
//   }
//
// The loss is the mean over this rank's samples; with equally many samples on every rank the
// gradients are those of the mean over all of them. Sums run in rank order, so every rank holds the
// same bits. Until zero_grad() gradients add up: two calls of backward give the sum of both
// averages.
//
// On a GPU the module lies on communicator.device(); gradients are averages for whatever the
// current stream does after backward, and nothing here but check_replicas waits for the GPU. What
// ranks compare and agree on goes through communicator.host(). See reducer.h for streams.
//
// On GPUs whole steps can be captured and replayed (core/cuda/graph.h), after one that ran. Which
// parameters a backward uses is then settled, and compared over ranks, when it is captured.
//
// Every rank makes the same calls. Errors of the construction name the first difference between the
// ranks' models and who holds what. Threads: as Reducer.

#pragma once

#include <memory>

#include "core/nn/module.h"
#include "distributed/communicator.h"
#include "distributed/reducer.h"

namespace trireme {

class DistributedDataParallel {
 public:
  /// Collective. Compares names, shapes, strides and dtypes of parameters and buffers and the
  /// options across ranks (CommError kMismatch on every rank if they differ), then copies rank 0's
  /// values to all. Refuses a module that another DistributedDataParallel still wraps. `module` and
  /// `communicator` must outlive this.
  DistributedDataParallel(Module& module, Communicator& communicator, ReducerOptions options = {});

  /// trireme::backward, with gradients averaged over ranks when it returns. With accumulate(k), the
  /// loss counts 1/k and only every k-th call synchronises; gradients add up in between. An error
  /// on this rank alone, once gradients are being averaged, also ends the backward of the others:
  /// they get its text as CommError kAborted. One before that (a loss that is no scalar) they only
  /// see as a rank that is missing. After an error, zero_grad() and begin with the first of the k
  /// calls again.
  void backward(const Tensor& loss);
  /// From now on k calls of backward make one step. Requires k >= 1.
  void accumulate(int k);

  /// While alive, backward adds to local gradients only. The first backward after it averages all
  /// that has accumulated. Decided when backward starts; forward may run inside or outside. Guards
  /// may nest.
  class NoSync {
   public:
    ~NoSync() { reducer_->set_sync(previous_); }
    NoSync(const NoSync&) = delete;

   private:
    friend class DistributedDataParallel;
    explicit NoSync(Reducer* reducer) : reducer_(reducer), previous_(reducer->sync()) {
      reducer_->set_sync(false);
    }
    Reducer* reducer_;
    bool previous_;
  };
  [[nodiscard]] NoSync no_sync() { return NoSync(reducer_.get()); }

  /// Copies rank 0's parameters to all ranks. Collective; after rank 0 loaded a checkpoint.
  void broadcast_parameters();
  /// Copies rank 0's buffers to all ranks. Collective; for modules whose buffers change in
  /// training.
  void broadcast_buffers();
  /// Collective check that all ranks hold the same weights, bit for bit; throws CommError kMismatch
  /// naming the first parameter that differs. Costs one pass over the parameters.
  void check_replicas();

  Reducer& reducer() { return *reducer_; }

 private:
  void micro_backward(const Tensor& loss);

  Module& module_;
  Communicator& communicator_;
  std::unique_ptr<Reducer> reducer_;
  int accumulate_ = 1;
  int micro_step_ = 0;
};

}  // namespace trireme
