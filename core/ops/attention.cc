#include "kernels/attention.h"

#include <algorithm>
#include <cmath>

#include "core/autograd/attach.h"
#include "core/ops/as_rows.h"
#include "core/ops/autocast.h"
#include "core/ops/check.h"
#include "core/ops/ops.h"
#include "core/tensor/view.h"
#include "kernels/attention_fused.h"

namespace trireme {
namespace {

/// q, k, v or gradients of them: [batch, heads, time, head_dim].
struct Heads {
  Tensor q, k, v;

  /// Query heads that share a head of keys and values.
  int64_t sharing() const {
    return k.size(1) > 0 ? std::max<int64_t>(1, q.size(1) / k.size(1)) : 1;
  }
};

/// Every n-th head of x from head g on, as a view. Of those query heads no two share a key head, so
/// kernels see as many heads of q as of k: they run n times, and nothing is copied.
Tensor every_nth(const Tensor& x, int64_t g, int64_t n) {
  if (n == 1) return x;
  Shape shape = x.shape();
  Strides strides = x.strides();
  shape[1] /= n;
  const int64_t offset = x.offset() + g * strides[1];
  strides[1] *= n;
  return views::as_strided(x, shape, strides, offset);
}

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

  int64_t sharing = 1;    // see Heads
  uint64_t counters = 0;  // of dropout, in all

  /// Of every n-th query head from g on.
  template <typename T>
  kernels::AttentionSpec<T> spec(int64_t g, int64_t n) const {
    const uint64_t skipped = counters / static_cast<uint64_t>(n) * static_cast<uint64_t>(g);
    kernels::AttentionSpec<T> s{.scale = scale,
                                .causal = causal,
                                .dropout = dropout,
                                .seed = seed,
                                .first = first + skipped};
    if (!mask) return s;
    const Tensor m = every_nth((*mask)(), g, n);
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
                  .causal = options.causal && q[2] > 1,  // one query sees all keys
                  .dropout = p,
                  .sharing = in.sharing()};
  if (p > 0) {
    problem.counters =
        static_cast<uint64_t>(kernels::attention_counters(q[0], q[1], q[2], in.k.size(2)));
    problem.seed = options.generator->seed();
    problem.first = options.generator->reserve(problem.counters);
  }
  return problem;
}

/// Where the statistics of part g, of every n-th query head from g on, lie.
template <typename T>
Acc<T>* statistics(const Tensor& logsumexp, int64_t g) {
  return logsumexp.data<Acc<T>>() + g * logsumexp.strides()[0];
}
/// [parts, batch, heads / parts, queries].
Tensor empty_statistics(const Tensor& q, int64_t parts) {
  const Shape& s = q.shape();
  return empty({parts, s[0], s[1] / parts, s[2]}, {acc_dtype(q.dtype()), q.device()});
}

/// Calls fn(device, tag of q's type) where all heads may be computed at once though some share a
/// key head; returns what it returned, else false.
template <typename Fn>
bool at_once(const Problem& problem, const Tensor& q, const Fn& fn) {
  if (problem.sharing == 1) return false;
  bool is_done = false;
  const auto on_type = [&]<typename T>(TypeTag<T> tag) {
    if constexpr (is_half<T>) {
      on_device(q.device(), [&](auto device) {
        if constexpr (std::is_same_v<decltype(device), Cuda>) is_done = fn(device, tag);
      });
    }
  };
  dispatch_floating(problem.op, q.dtype(), on_type);
  return is_done;
}

/// Writes out; returns the log-sum-exp of every row, in one part or in as many as query heads share
/// a key head.
Tensor forward(const Problem& problem, const Heads& in, const Tensor& out) {
  const int64_t n = problem.sharing;
  Tensor logsumexp = empty_statistics(in.q, 1);
  if (out.numel() == 0) return logsumexp;
  if (in.k.size(2) == 0) {
    fill_inplace(out, 0);
    return logsumexp;
  }
  const bool is_done = at_once(problem, in.q, [&](auto device, auto tag) {
    using T = typename decltype(tag)::type;
    return kernels::attention_fused<T>(device, as_view<const T>(in.q), as_view<const T>(in.k),
                                       as_view<const T>(in.v), problem.spec<T>(0, 1),
                                       as_view<T>(out), statistics<T>(logsumexp, 0));
  });
  if (is_done) return logsumexp;
  if (n > 1) logsumexp = empty_statistics(in.q, n);
  dispatch_floating(problem.op, in.q.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    on_device(in.q.device(), [&](auto device) {
      for (int64_t g = 0; g < n; ++g) {
        kernels::attention<T>(device, as_view<const T>(every_nth(in.q, g, n)),
                              as_view<const T>(in.k), as_view<const T>(in.v), problem.spec<T>(g, n),
                              as_view<T>(every_nth(out, g, n)), statistics<T>(logsumexp, g));
      }
    });
  });
  return logsumexp;
}

/// The gradients in as many parts as query heads share a key head. Each part of a key head's is
/// written for itself and rounded, and then they are added and rounded once more.
void backward_in_parts(const Problem& problem, const Heads& in, const Tensor& out,
                       const Tensor& logsumexp, const Tensor& dout, const Heads& grads) {
  const int64_t n = problem.sharing;
  const Shape& s = in.k.shape();
  const TensorOptions like{in.k.dtype(), in.k.device()};
  const Shape parts_shape{n, s[0], s[1], s[2], s[3]};
  const Tensor dk = n > 1 ? empty(parts_shape, like) : Tensor();
  const Tensor dv = n > 1 ? empty(parts_shape, like) : Tensor();
  const auto part = [&](const Tensor& parts, const Tensor& whole, int64_t g) {
    return n == 1 ? whole : views::reshape(views::slice(parts, 0, g, g + 1), s);
  };
  dispatch_floating(problem.op, in.q.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    on_device(in.q.device(), [&](auto device) {
      for (int64_t g = 0; g < n; ++g) {
        kernels::attention_backward<T>(
            device, as_view<const T>(every_nth(in.q, g, n)), as_view<const T>(in.k),
            as_view<const T>(in.v), problem.spec<T>(g, n), as_view<const T>(every_nth(out, g, n)),
            statistics<T>(logsumexp, g), as_view<const T>(every_nth(dout, g, n)),
            {as_view<T>(every_nth(grads.q, g, n)), as_view<T>(part(dk, grads.k, g)),
             as_view<T>(part(dv, grads.v, g))});
      }
    });
  });
  if (n == 1) return;
  copy_inplace(grads.k, sum(dk, 0));
  copy_inplace(grads.v, sum(dv, 0));
}

void backward(const Problem& problem, const Heads& in, const Tensor& out, const Tensor& logsumexp,
              const Tensor& dout, const Heads& grads) {
  if (in.q.numel() == 0 || in.k.numel() == 0) {
    for (const Tensor* d : {&grads.q, &grads.k, &grads.v}) fill_inplace(*d, 0);
    return;
  }
  const int64_t n = problem.sharing;
  if (logsumexp.size(0) == n) {
    return backward_in_parts(problem, in, out, logsumexp, dout, grads);
  }
  const bool is_done = at_once(problem, in.q, [&](auto device, auto tag) {
    using T = typename decltype(tag)::type;
    return kernels::attention_fused_backward<T>(
        device, as_view<const T>(in.q), as_view<const T>(in.k), as_view<const T>(in.v),
        problem.spec<T>(0, 1), as_view<const T>(out), statistics<T>(logsumexp, 0),
        as_view<const T>(dout), {as_view<T>(grads.q), as_view<T>(grads.k), as_view<T>(grads.v)});
  });
  if (is_done) return;
  const int64_t batch = in.q.size(0), heads = in.q.size(1), queries = in.q.size(2);
  const Tensor in_parts =
      dense(views::as_strided(logsumexp, {n, batch, heads / n, queries},
                              {queries, heads * queries, n * queries, 1}, logsumexp.offset()));
  backward_in_parts(problem, in, out, in_parts, dout, grads);
}

/// `heads` heads from head `first` on of a packed [batch, time, all heads * head_dim], as [batch,
/// heads, time, head_dim]; a view.
Tensor unpacked(const Tensor& x, int64_t first, int64_t heads, int64_t head_dim) {
  return views::as_strided(x, {x.size(0), heads, x.size(1), head_dim},
                           {x.strides()[0], head_dim, x.strides()[1], 1},
                           x.offset() + first * head_dim);
}
Heads unpacked(const Tensor& qkv, int64_t heads, int64_t kv_heads) {
  const int64_t head_dim = qkv.size(2) / (heads + 2 * kv_heads);
  return {unpacked(qkv, 0, heads, head_dim), unpacked(qkv, heads, kv_heads, head_dim),
          unpacked(qkv, heads + kv_heads, kv_heads, head_dim)};
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
              k.size(3) == q.size(3) && (k.size(1) > 0 ? q.size(1) % k.size(1) : q.size(1)) == 0,
          op, "k and v must be [", q.size(0), ", a divisor of ", q.size(1), ", keys, ", q.size(3),
          "] for q of ", q.shape(), ", got ", k.shape(), " and ", v.shape());
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
                                        const AttentionOptions& options, int kv_heads) {
  const char* op = "scaled_dot_product_attention_qkv";
  if (const auto in = detail::autocast<"scaled_dot_product_attention_qkv">(qkv, options.mask)) {
    AttentionOptions low = options;
    low.mask = in[1];
    return scaled_dot_product_attention_qkv(in[0], heads, low, kv_heads);
  }
  detail::check_defined(op, {{"qkv", &qkv}});
  require(qkv.rank() == 3, op, "qkv must be [batch, time, (heads + 2 kv_heads) * head_dim], got ",
          qkv.shape());
  const int64_t kv = kv_heads == 0 ? heads : kv_heads, all = heads + 2 * kv;
  require(heads >= 1 && kv >= 1 && heads % kv == 0, op, "kv_heads must divide heads, got ", kv,
          " and ", heads);
  require(qkv.size(2) > 0 && qkv.size(2) % all == 0, op,
          "the last dimension must be a multiple of ", all, ", ", heads, " heads of queries and ",
          kv, " each of keys and values, got ", qkv.shape());
  const int64_t head_dim = qkv.size(2) / all;
  const Heads parts = unpacked(with_dense_rows(qkv), heads, kv);
  Problem problem = checked(op, parts, options);
  Tensor y = empty({qkv.size(0), qkv.size(1), heads * head_dim}, {qkv.dtype(), qkv.device()});
  const Tensor logsumexp = forward(problem, parts, unpacked(y, 0, heads, head_dim));
  return attach(op, y,
                wrt(qkv, [problem = std::move(problem), heads, kv, head_dim, qkv = save(qkv),
                          y = save_output(y), logsumexp = save(logsumexp)](const Tensor& dy) {
                  Tensor dqkv = empty(qkv().shape(), {dy.dtype(), dy.device()});
                  backward(problem, unpacked(with_dense_rows(qkv()), heads, kv),
                           unpacked(y(), 0, heads, head_dim), logsumexp(),
                           unpacked(with_dense_rows(dy), 0, heads, head_dim),
                           unpacked(dqkv, heads, kv));
                  return dqkv;
                }));
}

}  // namespace trireme
