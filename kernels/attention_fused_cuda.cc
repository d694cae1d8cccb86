// Queues one kernel of cuDNN (forward), or a few (backward). 4 batch heads queries keys head_dim
// FLOPs forward, 2.5 times that backward, half if causal; q, k, v and out pass through memory about
// once. The log says once per shape where cuDNN refused.

#include "kernels/attention_fused.h"

#include <limits>

#include "core/base/log.h"
#include "core/cuda/memory.h"
#include "kernels/cudnn_attention.h"
#include "kernels/cudnn_types.h"

namespace trireme::kernels {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
constexpr float kOne = 1;

template <typename T>
AttentionStrides strides_of(const StridedView<T>& x) {
  return {x.strides[0], x.strides[1], x.strides[2], 1};
}

template <typename T>
bool has_dense_rows(const StridedView<T>& x) {
  return x.strides[3] == 1 && (x.strides[2] >= x.shape[3] || x.shape[2] == 1);
}

/// True where it is worth asking cuDNN: what it never takes is not tried for every shape.
template <typename T>
bool suits_cudnn(const StridedView<const T>& q, const StridedView<const T>& k,
                 const StridedView<const T>& v, const AttentionSpec<T>& spec) {
  // Its causal mask starts at the first key, ours ends at the last.
  const bool same_diagonal = !spec.causal || q.shape[2] == k.shape[2];
  // One query whose heads share keys is a case of its own there, with known issues.
  const bool has_rows = q.shape[2] > 1 || q.shape[1] == k.shape[1];
  return same_diagonal && has_rows && !spec.keep.data && !spec.bias.data && spec.dropout == 0 &&
         q.shape[3] % 8 == 0 && has_dense_rows(q) && has_dense_rows(k) && has_dense_rows(v);
}

template <typename T>
AttentionForwardLayout layout_of(const StridedView<const T>& q, const StridedView<const T>& k,
                                 const StridedView<const T>& v, const StridedView<const T>& out,
                                 const AttentionSpec<T>& spec) {
  return {{cudnn_type<T>, q.shape[0], q.shape[1], k.shape[1], q.shape[2], k.shape[2], q.shape[3]},
          spec.causal ? AttentionMask::kCausal : AttentionMask::kNone,
          strides_of(q),
          strides_of(k),
          strides_of(v),
          strides_of(out)};
}

CudnnKey key_of(CudnnOperation operation, const AttentionForwardLayout& f) {
  const AttentionShape& s = f.shape;
  CudnnKey key{static_cast<int64_t>(operation),
               s.type,
               s.batch,
               s.heads,
               s.kv_heads,
               s.queries,
               s.keys,
               s.head_dim,
               static_cast<int64_t>(f.mask)};
  for (const AttentionStrides* strides : {&f.q, &f.k, &f.v, &f.out}) {
    key.insert(key.end(), strides->begin(), strides->end());
  }
  return key;
}

void log_refusal(const char* direction, const AttentionShape& s) {
  log_info("attention: cuDNN has no ", direction, " kernel for [", s.batch, ", ", s.heads, " of ",
           s.kv_heads, ", ", s.queries, " of ", s.keys, ", ", s.head_dim, "]");
}

}  // namespace

template <typename T>
bool attention_fused(Cuda device, const StridedView<const T>& q, const StridedView<const T>& k,
                     const StridedView<const T>& v, const AttentionSpec<T>& spec,
                     const StridedView<T>& out, float* logsumexp) {
  if (!suits_cudnn(q, k, v, spec)) return false;
  if (common_alignment(q.data, k.data, v.data, out.data) < 16) return false;
  CudnnLibrary& library = CudnnLibrary::of(device.index);
  const AttentionForwardLayout layout = layout_of<T>(q, k, v, out, spec);
  CudnnBuilt& built = library.built(key_of(CudnnOperation::kAttention, layout), [&] {
    CudnnBuilt made = build_attention_forward(library.graph("attention"), layout);
    if (made.plans.empty()) log_refusal("forward", layout.shape);
    return made;
  });
  if (built.plans.empty()) return false;
  const auto scale = static_cast<float>(spec.scale);
  library.run(built, {q.data, k.data, v.data, &scale, &kMinusInfinity, out.data, logsumexp},
              device.stream);
  return true;
}

template <typename T>
bool attention_fused_backward(Cuda device, const StridedView<const T>& q,
                              const StridedView<const T>& k, const StridedView<const T>& v,
                              const AttentionSpec<T>& spec, const StridedView<const T>& out,
                              const float* logsumexp, const StridedView<const T>& dout,
                              const AttentionGradients<T>& g) {
  if (!suits_cudnn(q, k, v, spec) || !has_dense_rows(dout)) return false;
  if (common_alignment(q.data, k.data, v.data, out.data, dout.data, g.dq.data, g.dk.data,
                       g.dv.data) < 16) {
    return false;
  }
  CudnnLibrary& library = CudnnLibrary::of(device.index);
  const bool deterministic = library.options().deterministic;
  const AttentionBackwardLayout layout{layout_of<T>(q, k, v, out, spec),
                                       strides_of(dout),
                                       strides_of(g.dq),
                                       strides_of(g.dk),
                                       strides_of(g.dv),
                                       deterministic};
  CudnnKey key = key_of(CudnnOperation::kAttentionGradient, layout.forward);
  for (const AttentionStrides* strides : {&layout.dout, &layout.dq, &layout.dk, &layout.dv}) {
    key.insert(key.end(), strides->begin(), strides->end());
  }
  CudnnBuilt& built = library.built(key, [&] {
    CudnnBuilt made = build_attention_backward(library.graph("attention"), layout);
    if (made.plans.empty()) log_refusal("backward", layout.forward.shape);
    return made;
  });
  if (built.plans.empty()) return false;
  const int64_t rows = q.shape[0] * q.shape[1] * q.shape[2];
  const cuda::Workspace delta(device, rows * int64_t{sizeof(float)});
  const cuda::Workspace dq_sum(device,
                               deterministic ? 0 : rows * q.shape[3] * int64_t{sizeof(float)});
  const auto scale = static_cast<float>(spec.scale);
  library.run(built,
              {q.data, k.data, v.data, out.data, dout.data, logsumexp, &scale, &kMinusInfinity,
               &kOne, delta.as<float>(), dq_sum.as<float>(), g.dq.data, g.dk.data, g.dv.data},
              device.stream);
  return true;
}

#define TRIREME_INSTANTIATE(T)                                                                     \
  template bool attention_fused(Cuda, const StridedView<const T>&, const StridedView<const T>&,    \
                                const StridedView<const T>&, const AttentionSpec<T>&,              \
                                const StridedView<T>&, float*);                                    \
  template bool attention_fused_backward(                                                          \
      Cuda, const StridedView<const T>&, const StridedView<const T>&, const StridedView<const T>&, \
      const AttentionSpec<T>&, const StridedView<const T>&, const float*,                          \
      const StridedView<const T>&, const AttentionGradients<T>&)
TRIREME_INSTANTIATE(BFloat16);
TRIREME_INSTANTIATE(Float16);
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels
