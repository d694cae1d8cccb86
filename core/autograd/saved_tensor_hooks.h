// Pack hooks: what becomes of tensors between forward and backward. They may go to host memory, be
// compressed, or be dropped and computed again (checkpoint.h stands on this).
//
//   SavedTensorHooks offload([](const Tensor& x) -> SavedTensorHooks::Unpack {
//     return [host = to_device(x, Device{}), back = x.device()] { return to_device(host, back); };
//   });
//   loss = model(x);   // what its ops keep is on the host until backward asks for it

#pragma once

#include <functional>

#include "core/tensor/tensor.h"

namespace trireme {

/// While alive, every tensor that an op on this thread keeps for its gradient goes through `pack`;
/// of nested guards the innermost counts. Guards end in the order of scopes.
///
/// `pack` is given the tensor without history and must not change it in place. What it returns is
/// called where backward needs the tensor, once per run of the op's formula, and must give the same
/// shape, dtype and device. Both run with recording off and without hooks; neither may keep the
/// tensor it was given beyond what it needs. Ops keep inputs before they know whether the input
/// that wants them needs a gradient: a packed tensor may be dropped at once. The version of a
/// packed tensor is not checked: hooks that keep a copy need not care for changes.
class SavedTensorHooks {
 public:
  using Unpack = std::function<Tensor()>;
  using Pack = std::function<Unpack(const Tensor& x)>;

  explicit SavedTensorHooks(Pack pack);
  ~SavedTensorHooks();
  SavedTensorHooks(const SavedTensorHooks&) = delete;

  Unpack pack(const Tensor& x) const { return pack_(x); }

 private:
  Pack pack_;
  SavedTensorHooks* outer_;
};

namespace detail {
/// While alive, nothing is packed on this thread.
class NoSavedTensorHooks {
 public:
  NoSavedTensorHooks();
  ~NoSavedTensorHooks();
  NoSavedTensorHooks(const NoSavedTensorHooks&) = delete;

 private:
  SavedTensorHooks* outer_;
};
}  // namespace detail

}  // namespace trireme
