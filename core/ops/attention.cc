#include "kernels/attention.h"

#include "core/autograd/attach.h"
#include "core/ops/as_rows.h"
#include "core/ops/check.h"
#include "core/ops/ops.h"
#include "core/tensor/view.h"

namespace trireme {
namespace {

/// q, k, v, out or a gradient of them: [batch, heads, time, head_dim].
struct Heads {
  Tensor q, k, v;
};

/// The kernel walks rows of head_dim: they must be contiguous.
Tensor with_dense_rows(const Tensor& x) {
  return x.size(-1) <= 1 || x.strides().back() == 1 ? x : dense(x);
}

/// Calls fn with the type of the elements: the kernels take f32 and f64.
template <typename Fn>
void dispatch_wide(const char* op, DType dtype, const Fn& fn) {
  if (dtype == DType::kF32) return fn(TypeTag<float>{});
  if (dtype == DType::kF64) return fn(TypeTag<double>{});
  fail(op, "needs f32 or f64, got ", dtype, "; convert with to()");
}

/// Writes out; returns the log-sum-exp of every row, [batch, heads, time].
Tensor forward(const char* op, const Heads& in, const Tensor& out) {
  const Shape& shape = in.q.shape();
  Tensor logsumexp = empty({shape[0], shape[1], shape[2]}, {in.q.dtype(), in.q.device()});
  if (out.numel() == 0) return logsumexp;
  dispatch_wide(op, in.q.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    on_device(in.q.device(), [&](auto device) {
      kernels::causal_attention(device, as_view<const T>(in.q), as_view<const T>(in.k),
                                as_view<const T>(in.v), as_view<T>(out), logsumexp.data<T>());
    });
  });
  return logsumexp;
}

void backward(const char* op, const Heads& in, const Tensor& out, const Tensor& logsumexp,
              const Tensor& dout, const Heads& grads) {
  if (out.numel() == 0) return;
  dispatch_wide(op, in.q.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    on_device(in.q.device(), [&](auto device) {
      kernels::causal_attention_backward(
          device, as_view<const T>(in.q), as_view<const T>(in.k), as_view<const T>(in.v),
          as_view<const T>(out), logsumexp.data<T>(), as_view<const T>(dout),
          {as_view<T>(grads.q), as_view<T>(grads.k), as_view<T>(grads.v)});
    });
  });
}

/// Part `part` of `parts` of a packed [batch, time, parts * heads * head_dim], as
/// [batch, heads, time, head_dim]; a view.
Tensor unpacked(const Tensor& x, int part, int parts, int64_t heads) {
  const int64_t width = x.size(2) / parts, head_dim = width / heads;
  return views::as_strided(x, {x.size(0), heads, x.size(1), head_dim},
                           {x.strides()[0], head_dim, x.strides()[1], 1},
                           x.offset() + part * width);
}
Heads unpacked(const Tensor& qkv, int64_t heads) {
  return {unpacked(qkv, 0, 3, heads), unpacked(qkv, 1, 3, heads), unpacked(qkv, 2, 3, heads)};
}

}  // namespace

Tensor causal_attention(const Tensor& q, const Tensor& k, const Tensor& v) {
  detail::check_defined("causal_attention", {{"q", &q}, {"k", &k}, {"v", &v}});
  require(q.rank() == 4, "causal_attention", "q must be [batch, heads, time, head_dim], got ",
          q.shape());
  require(q.size(-1) > 0, "causal_attention", "head_dim must be positive, got ", q.shape());
  for (const Tensor* x : {&k, &v}) {
    require(x->shape() == q.shape(), "causal_attention", "q, k and v must have one shape, got ",
            q.shape(), ", ", k.shape(), " and ", v.shape());
    require(x->dtype() == q.dtype() && x->device() == q.device(), "causal_attention",
            "q, k and v must have one dtype and device, got ", q.dtype(), " on ", q.device(), ", ",
            k.dtype(), " on ", k.device(), " and ", v.dtype(), " on ", v.device());
  }
  Tensor y = empty(q.shape(), {q.dtype(), q.device()});
  const Tensor logsumexp =
      forward("causal_attention", {with_dense_rows(q), with_dense_rows(k), with_dense_rows(v)}, y);
  return attach_joint<3>(
      "causal_attention", y, {&q, &k, &v},
      [q = save(q), k = save(k), v = save(v), y = save_output(y), logsumexp](
          const Tensor& dy, const std::array<bool, 3>& /*need*/) -> std::array<Tensor, 3> {
        const TensorOptions options{dy.dtype(), dy.device()};
        const Heads grads{empty(dy.shape(), options), empty(dy.shape(), options),
                          empty(dy.shape(), options)};
        backward("causal_attention",
                 {with_dense_rows(q()), with_dense_rows(k()), with_dense_rows(v())}, y(), logsumexp,
                 with_dense_rows(dy), grads);
        return {grads.q, grads.k, grads.v};
      });
}

Tensor causal_attention_qkv(const Tensor& qkv, int heads) {
  const char* op = "causal_attention_qkv";
  detail::check_defined(op, {{"qkv", &qkv}});
  require(qkv.rank() == 3, op, "qkv must be [batch, time, 3 * heads * head_dim], got ",
          qkv.shape());
  require(heads >= 1 && qkv.size(2) > 0 && qkv.size(2) % (3 * int64_t{heads}) == 0, op,
          "the last dimension must be a multiple of 3 * ", heads, " heads, got ", qkv.shape());
  Tensor y = empty({qkv.size(0), qkv.size(1), qkv.size(2) / 3}, {qkv.dtype(), qkv.device()});
  const Tensor logsumexp =
      forward(op, unpacked(with_dense_rows(qkv), heads), unpacked(y, 0, 1, heads));
  return attach(
      op, y,
      wrt(qkv, [op, heads, qkv = save(qkv), y = save_output(y), logsumexp](const Tensor& dy) {
        Tensor dqkv = empty(qkv().shape(), {dy.dtype(), dy.device()});
        backward(op, unpacked(with_dense_rows(qkv()), heads), unpacked(y(), 0, 1, heads), logsumexp,
                 unpacked(with_dense_rows(dy), 0, 1, heads), unpacked(dqkv, heads));
        return dqkv;
      }));
}

}  // namespace trireme
