// Queues cuDNN's fused kernels where they take it (kernels/attention_fused.h). Anything else goes
// through stored scores (kernels/attention_stored.h): 2 to 4 passes over batch heads queries keys
// scores more.

#include <memory>
#include <vector>

#include "core/cuda/memory.h"
#include "kernels/attention.h"
#include "kernels/attention_fused.h"
#include "kernels/attention_rows.h"
#include "kernels/attention_stored.h"
#include "kernels/cublas_matmul.h"
#include "kernels/fill_copy.h"

namespace trireme::kernels {
namespace {

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

}  // namespace

template <typename T>
void attention(Cuda device, StridedView<const T> q, StridedView<const T> k, StridedView<const T> v,
               const AttentionSpec<T>& spec, StridedView<T> out, Acc<T>* logsumexp) {
  StoredEngine engine(device);
  q = engine.separate(q);
  k = engine.separate(k);
  v = engine.separate(v);
  if constexpr (is_half<T>) {
    if (attention_fused(device, q, k, v, spec, out, logsumexp)) return;
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
    if (attention_fused_backward(device, q, k, v, spec, out, logsumexp, dout, gradients)) return;
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
