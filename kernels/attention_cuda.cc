// Queues one fused kernel of cuDNN (forward), or a few (backward), for 16-bit q, k and v without
// mask or dropout, in place of any strides: packed projections are read and written as they lie. 4
// batch heads queries keys head_dim FLOPs forward, 2.5 times that backward, half if causal; q, k, v
// and out pass through memory about once. Anything else goes through stored scores
// (kernels/attention_stored.h): 2 to 4 passes over batch heads queries keys scores more. The log
// says once per shape where cuDNN refused.

#include <algorithm>
#include <array>
#include <limits>
#include <memory>
#include <vector>

#include "core/base/log.h"
#include "core/cuda/memory.h"
#include "kernels/attention.h"
#include "kernels/attention_rows.h"
#include "kernels/attention_stored.h"
#include "kernels/cublas_matmul.h"
#include "kernels/cudnn_attention.h"
#include "kernels/cudnn_types.h"
#include "kernels/fill_copy.h"

namespace trireme::kernels {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
constexpr float kOne = 1;

/// attention_stored's engine on a stream.
class StoredEngine {
 public:
  explicit StoredEngine(Cuda device) : device_(device), library_(CublasMatmul::of(device.index)) {}

  void* allocate(int64_t bytes) {
    blocks_.push_back(std::make_unique<cuda::Workspace>(device_, bytes));
    return blocks_.back()->as<void>();
  }
  void multiply(const MatmulCall& call) { library_.run(call, device_.stream); }
  template <typename... Args>
  void softmax(const Args&... args) {
    softmax_block(device_, args...);
  }
  template <typename... Args>
  void softmax_backward(const Args&... args) {
    softmax_block_backward(device_, args...);
  }
  /// x, or a dense copy where its rows overlap.
  template <typename T>
  StridedView<const T> separate(const StridedView<const T>& x) {
    if (has_unit_stride(x.shape[2], x.shape[3], x.strides[2], x.strides[3]) &&
        (x.strides[3] == 1 || x.shape[3] == 1)) {
      return x;
    }
    T* to = static_cast<T*>(allocate(x.count() * int64_t{sizeof(T)}));
    const Strides dense = contiguous_strides(x.shape);
    copy(device_, AnyView{to, dtype_of<T>, x.shape, dense},
         ConstAnyView{x.data, dtype_of<T>, x.shape, x.strides});
    return {to, x.shape, dense};
  }

 private:
  Cuda device_;
  CublasMatmul& library_;
  std::vector<std::unique_ptr<cuda::Workspace>> blocks_;
};

template <typename T>
AttentionStrides strides_of(const StridedView<T>& x) {
  return {x.strides[0], x.strides[1], x.strides[2], 1};
}

/// True where it is worth asking cuDNN: what it never takes is not tried for every shape.
template <typename T>
bool suits_cudnn(const StridedView<const T>& q, const StridedView<const T>& k,
                 const AttentionSpec<T>& spec) {
  // Its causal mask starts at the first key, ours ends at the last.
  const bool same_diagonal = !spec.causal || q.shape[2] == k.shape[2];
  return is_half<T> && same_diagonal && !spec.keep.data && !spec.bias.data && spec.dropout == 0 &&
         q.shape[3] % 8 == 0;
}

template <typename T>
AttentionForwardLayout layout_of(const StridedView<const T>& q, const StridedView<const T>& k,
                                 const StridedView<const T>& v, const StridedView<const T>& out,
                                 const AttentionSpec<T>& spec) {
  return {{cudnn_type<T>, q.shape[0], q.shape[1], q.shape[2], k.shape[2], q.shape[3]},
          spec.causal ? AttentionMask::kCausal : AttentionMask::kNone,
          strides_of(q),
          strides_of(k),
          strides_of(v),
          strides_of(out)};
}

CudnnKey key_of(int64_t operation, const AttentionForwardLayout& f) {
  CudnnKey key{operation,       f.shape.type, f.shape.batch,    f.shape.heads,
               f.shape.queries, f.shape.keys, f.shape.head_dim, static_cast<int64_t>(f.mask)};
  for (const AttentionStrides* strides : {&f.q, &f.k, &f.v, &f.out}) {
    key.insert(key.end(), strides->begin(), strides->end());
  }
  return key;
}

void log_refusal(const char* direction, const AttentionShape& s) {
  log_info("attention: cuDNN has no ", direction, " kernel for [", s.batch, ", ", s.heads, ", ",
           s.queries, " of ", s.keys, ", ", s.head_dim, "]; scores are stored instead");
}

/// False where cuDNN has no kernel.
template <typename T>
bool run_cudnn(Cuda device, const StridedView<const T>& q, const StridedView<const T>& k,
               const StridedView<const T>& v, const AttentionSpec<T>& spec,
               const StridedView<T>& out, Acc<T>* logsumexp) {
  if (common_alignment(q.data, k.data, v.data, out.data) < 16) return false;
  constexpr int64_t kOperation = 2;
  CudnnLibrary& library = CudnnLibrary::of(device.index);
  const AttentionForwardLayout layout = layout_of<T>(q, k, v, out, spec);
  CudnnBuilt& built = library.built(key_of(kOperation, layout), [&] {
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
bool run_cudnn_backward(Cuda device, const StridedView<const T>& q, const StridedView<const T>& k,
                        const StridedView<const T>& v, const AttentionSpec<T>& spec,
                        const StridedView<const T>& out, const Acc<T>* logsumexp,
                        const StridedView<const T>& dout, const AttentionGradients<T>& g) {
  if (common_alignment(q.data, k.data, v.data, out.data, dout.data, g.dq.data, g.dk.data,
                       g.dv.data) < 16) {
    return false;
  }
  constexpr int64_t kOperation = 3;
  CudnnLibrary& library = CudnnLibrary::of(device.index);
  const bool deterministic = library.options().deterministic;
  const AttentionBackwardLayout layout{layout_of<T>(q, k, v, out, spec),
                                       strides_of(dout),
                                       strides_of(g.dq),
                                       strides_of(g.dk),
                                       strides_of(g.dv),
                                       deterministic};
  CudnnKey key = key_of(kOperation, layout.forward);
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

}  // namespace

template <typename T>
void attention(Cuda device, StridedView<const T> q, StridedView<const T> k, StridedView<const T> v,
               const AttentionSpec<T>& spec, StridedView<T> out, Acc<T>* logsumexp) {
  StoredEngine engine(device);
  q = engine.separate(q);
  k = engine.separate(k);
  v = engine.separate(v);
  if constexpr (is_half<T>) {
    if (suits_cudnn(q, k, spec) && run_cudnn(device, q, k, v, spec, out, logsumexp)) return;
  }
  attention_stored(engine, q, k, v, spec, out, logsumexp,
                   cut_scores(q.shape[1], q.shape[2], k.shape[2], sizeof(Acc<T>)));
}

template <typename T>
void attention_backward(Cuda device, StridedView<const T> q, StridedView<const T> k,
                        StridedView<const T> v, const AttentionSpec<T>& spec,
                        StridedView<const T> out, const Acc<T>* logsumexp,
                        StridedView<const T> dout, AttentionGradients<T> gradients) {
  StoredEngine engine(device);
  q = engine.separate(q);
  k = engine.separate(k);
  v = engine.separate(v);
  dout = engine.separate(dout);
  if constexpr (is_half<T>) {
    if (suits_cudnn(q, k, spec) &&
        run_cudnn_backward(device, q, k, v, spec, out, logsumexp, dout, gradients)) {
      return;
    }
  }
  attention_stored_backward(engine, q, k, v, spec, out, logsumexp, dout, gradients,
                            cut_scores(q.shape[1], q.shape[2], k.shape[2], sizeof(Acc<T>)));
}

#define TRIREME_INSTANTIATE(T)                                                                    \
  template void attention(Cuda, StridedView<const T>, StridedView<const T>, StridedView<const T>, \
                          const AttentionSpec<T>&, StridedView<T>, Acc<T>*);                      \
  template void attention_backward(Cuda, StridedView<const T>, StridedView<const T>,              \
                                   StridedView<const T>, const AttentionSpec<T>&,                 \
                                   StridedView<const T>, const Acc<T>*, StridedView<const T>,     \
                                   AttentionGradients<T>)
TRIREME_INSTANTIATE(double);
TRIREME_INSTANTIATE(float);
TRIREME_INSTANTIATE(BFloat16);
TRIREME_INSTANTIATE(Float16);
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels
