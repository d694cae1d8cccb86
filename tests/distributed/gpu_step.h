// A training step on fake GPUs, for tests that capture it: its kernels are functions of the test's.

#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "core/autograd/attach.h"
#include "core/autograd/gradient_home.h"
#include "core/cuda/graph.h"
#include "core/nn/module.h"
#include "core/tensor/copy.h"
#include "core/tensor/create.h"
#include "distributed/ddp.h"
#include "tests/support/nccl_ranks.h"

namespace trireme::testing {

/// Parameter i's gradient is (i + 1) times the input, which lies on the device as a batch does.
/// Each is written by a logged kernel, last parameter first, and has a bucket of its own.
class GpuStep : public Module {
 public:
  static constexpr int64_t kSize = 64;  // elements of each parameter
  static constexpr int64_t kBytes = kSize * 4;

  GpuStep(NcclCommunicator& comm, int parameters,
          UnusedParameters unused = UnusedParameters::kError)
      : device_(comm.device()), input_(zeros({1}, {DType::kF32, device_})) {
    for (int i = 0; i < parameters; ++i) {
      parameters_.push_back(
          from_vector(std::vector<float>(kSize), {kSize}, device_).set_requires_grad());
      register_parameter(concat("p", i), parameters_.back());
    }
    ddp_.emplace(*this, comm, ReducerOptions{.sizes = {kBytes, kBytes, kBytes}, .unused = unused});
  }

  void set_input(double value) {
    copy_inplace(input_, from_vector(std::vector<float>{static_cast<float>(value)}, {1}));
  }
  /// Forward, backward, all-reduce and an optimizer that subtracts the gradients. `skip`: a
  /// parameter that the loss does not use here.
  void run(int skip = -1) {
    ddp_->backward(loss(skip));
    for (Tensor& p : parameters_) {
      const Tensor gradient = p.grad();
      if (!gradient.defined()) continue;
      on_stream([to = p.data<float>(), g = gradient.data<float>()] {
        for (int64_t k = 0; k < kSize; ++k) to[k] -= g[k];
      });
      p.zero_grad();
    }
  }
  std::unique_ptr<cuda::Graph> capture(int skip = -1) {
    return cuda::capture(device_.index, [&] { run(skip); });
  }

  /// The one value that all elements of each parameter have; waits.
  std::vector<float> values() const {
    std::vector<float> result;
    for (const Tensor& p : parameters_) {
      const auto all = p.to_vector<float>();
      EXPECT_EQ(std::count(all.begin(), all.end(), all[0]), kSize);
      result.push_back(all[0]);
    }
    return result;
  }
  std::vector<Tensor>& parameters() { return parameters_; }
  DistributedDataParallel& ddp() { return *ddp_; }
  void drop_ddp() { ddp_.reset(); }

  void on_stream(std::function<void()> kernel) const {
    FakeGpus::get().run_on(cuda::current_stream(device_.index), std::move(kernel));
  }

 private:
  Tensor loss(int skip) const {
    Tensor y = scalar(0);
    for (int i = 0; i < static_cast<int>(parameters_.size()); ++i) {
      if (i == skip) continue;
      const Tensor& p = parameters_[static_cast<size_t>(i)];
      const auto of_p = [this, i, home = GradientHome(p)](const Tensor&) {
        const Tensor gradient = home.empty({kSize}, {DType::kF32, device_});
        on_stream(
            [in = input_.data<float>(), to = gradient.data<float>(), i, gpu = int{device_.index}] {
              FakeGpus::get().log(concat("rank ", gpu, ": gradient ", i));
              std::fill_n(to, kSize, *in * static_cast<float>(i + 1));
            });
        return gradient;
      };
      const Tensor previous = y;
      y = attach("measured", scalar(0), wrt(p, of_p),
                 wrt(previous, [](const Tensor& dy) { return dy; }));
    }
    return y;
  }

  const Device device_;
  const Tensor input_;
  std::vector<Tensor> parameters_;
  std::optional<DistributedDataParallel> ddp_;
};

}  // namespace trireme::testing
