#include "kernels/attention.h"

#include <cmath>

#include "core/autograd/attach.h"
#include "core/ops/as_rows.h"
#include "core/ops/autocast.h"
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
Heads with_dense_rows(const Heads& x) {
  return {with_dense_rows(x.q), with_dense_rows(x.k), with_dense_rows(x.v)};
}

/// What forward and backward have in common beside q, k and v.
struct Problem {
  const char* op;
  std::optional<Saved> mask;  // [batch, heads, queries, keys], broadcast by stride 0
  double scale;
  bool causal;
  double dropout;
  uint64_t seed = 0, first = 0;

  template <typename T>
  kernels::AttentionSpec<T> spec() const {
    kernels::AttentionSpec<T> s{
        .scale = scale, .causal = causal, .dropout = dropout, .seed = seed, .first = first};
    if (!mask) return s;
    const Tensor& m = (*mask)();
    if (m.dtype() == DType::kBool) {
      s.keep = as_view<const bool>(m);
    } else {
      s.bias = as_view<const T>(m);
    }
    return s;
  }
};

Problem checked(const char* op, const Heads& in, const AttentionOptions& options) {
  const Shape& q = in.q.shape();
  const Shape scores{q[0], q[1], q[2], in.k.size(2)};
  std::optional<Saved> saved_mask;
  if (const Tensor& mask = options.mask) {
    require(mask.dtype() == DType::kBool || mask.dtype() == in.q.dtype(), op,
            "the mask must be bool or of q's dtype, ", in.q.dtype(), ", got ", mask.dtype());
    require(!mask.requires_grad(), op, "the mask takes no gradient; pass mask.detach()");
    require(mask.device() == in.q.device(), op, "the mask is on ", mask.device(), " but q is on ",
            in.q.device());
    require(mask.rank() <= 4 && broadcast_shapes(op, mask.shape(), scores) == scores, op,
            "the mask must broadcast to [batch, heads, queries, keys], ", scores, ", got ",
            mask.shape());
    saved_mask = save(views::expand(mask, scores));
  }
  require(!options.scale || std::isfinite(*options.scale), op, "scale must be finite, got ",
          *options.scale);
  const double p = options.dropout;
  require(p >= 0 && p < 1, op, "dropout must lie in [0, 1), got ", p);
  require(p == 0 || options.generator, op, "dropout ", p, " needs a generator");
  Problem problem{.op = op,
                  .mask = std::move(saved_mask),
                  .scale = options.scale.value_or(1 / std::sqrt(static_cast<double>(q[3]))),
                  .causal = options.causal,
                  .dropout = p};
  if (p > 0) {
    problem.seed = options.generator->seed();
    problem.first = options.generator->reserve(
        static_cast<uint64_t>(kernels::attention_counters(q[0], q[1], q[2], in.k.size(2))));
  }
  return problem;
}

/// Writes out; returns the log-sum-exp of every row, [batch, heads, queries].
Tensor forward(const Problem& problem, const Heads& in, const Tensor& out) {
  const Shape& shape = in.q.shape();
  Tensor logsumexp =
      empty({shape[0], shape[1], shape[2]}, {acc_dtype(in.q.dtype()), in.q.device()});
  if (out.numel() == 0) return logsumexp;
  if (in.k.size(2) == 0) {
    fill_inplace(out, 0);
    return logsumexp;
  }
  dispatch_floating(problem.op, in.q.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    on_device(in.q.device(), [&](auto device) {
      kernels::attention<T>(device, as_view<const T>(in.q), as_view<const T>(in.k),
                            as_view<const T>(in.v), problem.spec<T>(), as_view<T>(out),
                            logsumexp.data<Acc<T>>());
    });
  });
  return logsumexp;
}

void backward(const Problem& problem, const Heads& in, const Tensor& out, const Tensor& logsumexp,
              const Tensor& dout, const Heads& grads) {
  if (in.q.numel() == 0 || in.k.numel() == 0) {
    for (const Tensor* d : {&grads.q, &grads.k, &grads.v}) fill_inplace(*d, 0);
    return;
  }
  dispatch_floating(problem.op, in.q.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    on_device(in.q.device(), [&](auto device) {
      kernels::attention_backward<T>(
          device, as_view<const T>(in.q), as_view<const T>(in.k), as_view<const T>(in.v),
          problem.spec<T>(), as_view<const T>(out), logsumexp.data<Acc<T>>(),
          as_view<const T>(dout), {as_view<T>(grads.q), as_view<T>(grads.k), as_view<T>(grads.v)});
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

Tensor scaled_dot_product_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                    const AttentionOptions& options) {
  const char* op = "scaled_dot_product_attention";
  if (const auto in = detail::autocast<"scaled_dot_product_attention">(q, k, v, options.mask)) {
    AttentionOptions low = options;
    low.mask = in[3];
    return scaled_dot_product_attention(in[0], in[1], in[2], low);
  }
  detail::check_defined(op, {{"q", &q}, {"k", &k}, {"v", &v}});
  require(q.rank() == 4, op, "q must be [batch, heads, queries, head_dim], got ", q.shape());
  require(q.size(-1) > 0, op, "head_dim must be positive, got ", q.shape());
  require(k.rank() == 4 && v.shape() == k.shape() && k.size(0) == q.size(0) &&
              k.size(1) == q.size(1) && k.size(3) == q.size(3),
          op, "k and v must be [", q.size(0), ", ", q.size(1), ", keys, ", q.size(3), "] for q of ",
          q.shape(), ", got ", k.shape(), " and ", v.shape());
  for (const Tensor* x : {&k, &v}) {
    require(x->dtype() == q.dtype() && x->device() == q.device(), op,
            "q, k and v must have one dtype and device, got ", q.dtype(), " on ", q.device(), ", ",
            k.dtype(), " on ", k.device(), " and ", v.dtype(), " on ", v.device());
  }
  Problem problem = checked(op, {q, k, v}, options);
  Tensor y = empty(q.shape(), {q.dtype(), q.device()});
  const Tensor logsumexp = forward(problem, with_dense_rows(Heads{q, k, v}), y);
  return attach_joint<3>(
      op, y, {&q, &k, &v},
      [problem = std::move(problem), q = save(q), k = save(k), v = save(v), y = save_output(y),
       logsumexp = save(logsumexp)](const Tensor& dy,
                                    const std::array<bool, 3>& /*need*/) -> std::array<Tensor, 3> {
        const TensorOptions like{dy.dtype(), dy.device()};
        const Heads grads{empty(q().shape(), like), empty(k().shape(), like),
                          empty(v().shape(), like)};
        backward(problem, with_dense_rows(Heads{q(), k(), v()}), y(), logsumexp(),
                 with_dense_rows(dy), grads);
        return {grads.q, grads.k, grads.v};
      });
}

Tensor scaled_dot_product_attention_qkv(const Tensor& qkv, int heads,
                                        const AttentionOptions& options) {
  const char* op = "scaled_dot_product_attention_qkv";
  if (const auto in = detail::autocast<"scaled_dot_product_attention_qkv">(qkv, options.mask)) {
    AttentionOptions low = options;
    low.mask = in[1];
    return scaled_dot_product_attention_qkv(in[0], heads, low);
  }
  detail::check_defined(op, {{"qkv", &qkv}});
  require(qkv.rank() == 3, op, "qkv must be [batch, time, 3 * heads * head_dim], got ",
          qkv.shape());
  require(heads >= 1 && qkv.size(2) > 0 && qkv.size(2) % (3 * int64_t{heads}) == 0, op,
          "the last dimension must be a multiple of 3 * ", heads, " heads, got ", qkv.shape());
  const Heads parts = unpacked(with_dense_rows(qkv), heads);
  Problem problem = checked(op, parts, options);
  Tensor y = empty({qkv.size(0), qkv.size(1), qkv.size(2) / 3}, {qkv.dtype(), qkv.device()});
  const Tensor logsumexp = forward(problem, parts, unpacked(y, 0, 1, heads));
  return attach(op, y,
                wrt(qkv, [problem = std::move(problem), heads, qkv = save(qkv), y = save_output(y),
                          logsumexp = save(logsumexp)](const Tensor& dy) {
                  Tensor dqkv = empty(qkv().shape(), {dy.dtype(), dy.device()});
                  backward(problem, unpacked(with_dense_rows(qkv()), heads),
                           unpacked(y(), 0, 1, heads), logsumexp(),
                           unpacked(with_dense_rows(dy), 0, 1, heads), unpacked(dqkv, heads));
                  return dqkv;
                }));
}

}  // namespace trireme
