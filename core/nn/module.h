// Module: a part of a model that owns parameters.
//
//   class Mlp : public Module {
//    public:
//     explicit Mlp(Generator& generator) : fc1_(784, 128, generator), fc2_(128, 10, generator) {
//       register_module("fc1", fc1_);
//       register_module("fc2", fc2_);
//     }
//     Tensor forward(const Tensor& x) const { return fc2_.forward(relu(fc1_.forward(x))); }
//    private:
//     Linear fc1_, fc2_;
//   };
//
// Members are plain fields; the constructor registers them, and the order of registration is the
// order of parameters everywhere (optimizers, buckets, checkpoints). forward is not virtual: each
// module takes and returns what suits it. Not copyable; not thread-safe.
//
// Tied weights: one tensor used in two places, as GPT's head multiplies by the transpose of the
// token table (linear(x, transpose(tokens_.weight(), 0, 1))). Both gradients add up in it, and
// optimizers, buckets and checkpoints see it once, under the name it was registered with first.
//
// load_state(model.state_dict(), values) of core/checkpoint/load_state.h writes values into a
// module that exists, and names every missing, unexpected or wrongly shaped tensor.

#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/philox.h"
#include "core/tensor/state_dict.h"

namespace trireme {

class Module {
 public:
  virtual ~Module() = default;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  /// Own parameters first, then the children's as "child.name". A parameter that several modules
  /// share appears once, under its first name.
  StateDict named_parameters() const;
  /// Tensors that belong to the state but are not trained; shared ones once, as parameters.
  StateDict named_buffers() const;
  /// Parameters, then buffers.
  StateDict state_dict() const;
  /// Random generators of dropout and the like; their offsets belong into a checkpoint.
  std::vector<std::pair<std::string, Generator*>> named_generators();

  int64_t num_parameters() const;
  void zero_grad();

  /// Moves parameters and buffers to `device`; all handles to them move along. Gradients and hooks
  /// of parameters that move are dropped: call it before anything else holds on to the parameters
  /// (optimizer, DataParallel), which with a gradient slot is an error.
  void to(Device device);
  /// Rounds floating parameters to `dtype`, likewise; before an optimizer is made, which keeps f32
  /// copies of 16-bit ones. Floating buffers, as running statistics, have f32 beside 16 bits.
  void to(DType dtype);

  /// Training mode (the default) or evaluation mode, for this module and all below.
  void train(bool on = true);
  void eval() { train(false); }
  bool is_training() const { return training_; }

  /// Calls fn on this module and every module below, parents first, with dotted names ("" here).
  void apply(const std::function<void(const std::string& name, Module& module)>& fn);

 protected:
  Module() = default;
  /// Names must be unique within the module and without dots. A registered child must live as long
  /// as this module: it is a field.
  void register_parameter(const std::string& name, const Tensor& parameter);
  void register_buffer(const std::string& name, const Tensor& buffer);
  void register_module(const std::string& name, Module& child);
  void register_generator(const std::string& name, Generator& generator);

 private:
  void check_new_name(const std::string& name) const;
  void visit(const std::string& prefix,
             const std::function<void(const std::string&, const Module&)>& fn) const;

  StateDict parameters_;
  StateDict buffers_;
  std::vector<std::pair<std::string, Module*>> children_;
  std::vector<std::pair<std::string, Generator*>> generators_;
  bool training_ = true;
};

}  // namespace trireme
