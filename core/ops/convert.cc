#include "core/autograd/attach.h"
#include "core/autograd/gradient_home.h"
#include "core/ops/map.h"
#include "core/ops/ops.h"
#include "core/tensor/copy.h"
#include "core/tensor/transfer.h"

namespace trireme {

namespace {

/// Backward of `to`. It keeps nothing but a dtype, so that one cast of a weight can serve several
/// forward passes with a backward each.
class CastNode final : public Node {
 public:
  CastNode(const Tensor& x, const Tensor& y)
      : Node("to", y, &edge_, 1), edge_(edge_to(x)), from_(x.dtype()) {}
  void apply(const Tensor& dy, Tensor* dx) override {
    if (is_recording()) {
      dx[0] = to(dy, from_);
      return;
    }
    dx[0] = GradientHome(*edge_).empty(dy.shape(), {from_, dy.device()});
    copy_inplace(dx[0], dy);
  }
  bool is_differentiable() const override { return true; }
  void release_saved() override {}
  bool saves_nothing() const override { return true; }

 private:
  Ref<Node> edge_;
  DType from_;
};

}  // namespace

Tensor contiguous(const Tensor& x) {
  detail::check_operand("contiguous", x);
  if (x.is_contiguous()) return x;
  return attach(differentiable("contiguous"), clone_detached(x),
                wrt(x, [](const Tensor& dy) { return dy; }));
}

Tensor to(const Tensor& x, DType dtype) {
  detail::check_operand("to", x);
  if (x.dtype() == dtype) return x;
  Tensor y = cast(x, dtype);
  if (is_recording() && x.requires_grad() && is_floating(dtype)) {
    y.set_autograd_meta(make_ref<CastNode>(x, y));
  }
  return y;
}

Tensor to(const Tensor& x, Device device) {
  detail::check_operand("to", x);
  if (x.device() == device) return x;
  Tensor y = to_device(x, device);
  if (!is_floating(x.dtype())) return y;
  return attach(differentiable("to"), y,
                wrt(x, [from = x.device()](const Tensor& dy) { return to(dy, from); }));
}

}  // namespace trireme
