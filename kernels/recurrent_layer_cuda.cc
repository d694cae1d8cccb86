// Queues a recurrent layer of cuDNN's: the weights are copied into its weight space in front of it
// (one read and one write of each, 17 MB for an lstm of 512 units in f32), and their gradients,
// which it adds to zeros, out of it behind it.

#include "kernels/recurrent_layer.h"

#include <array>

#include "core/cuda/device.h"
#include "kernels/cudnn_recurrent_layers.h"
#include "kernels/cudnn_types.h"
#include "kernels/fill_copy.h"

namespace trireme::kernels {

CudnnRecurrentLayers& CudnnRecurrentLayers::of(int index) {
  CudnnLibrary& library = CudnnLibrary::of(index);  // first, so that it outlives the layers
  static std::array<RecurrentChoices, cuda::kMaxDevices> choices;
  thread_local std::array<std::unique_ptr<CudnnRecurrentLayers>, cuda::kMaxDevices> all;
  const size_t at = static_cast<size_t>(index);
  auto& layers = all[at];
  if (!layers) layers = std::make_unique<CudnnRecurrentLayers>(library, choices[at]);
  return *layers;
}

CudnnRecurrentLayers* CudnnRecurrentLayers::find(int index) {
  return CudnnLibrary::find(index) ? &of(index) : nullptr;
}

namespace {

enum class Content { kWeights, kGradients };

/// Memory that takes what cuDNN keeps in one piece: all weights, or all their gradients, which are
/// zeros at first. So are the weights if there is room between them: nothing says that cuDNN does
/// not read it.
template <typename T>
class WeightSpace {
 public:
  WeightSpace(Cuda device, LibraryDevice& memory, const CudnnRecurrent& layer, Content content)
      : device_(device),
        layer_(layer),
        space_(memory, device.stream, static_cast<int64_t>(layer.weight_bytes())) {
    const Shape all{static_cast<int64_t>(layer.weight_bytes() / sizeof(T))};
    const RecurrentLayerShape& s = layer.shape();
    const int64_t weights = s.gates() * s.hidden * (s.in + s.hidden + (s.has_bias ? 2 : 0));
    if (content == Content::kWeights && weights == all.product()) return;
    fill(device, AnyView{space_.data(), dtype_of<T>, all, contiguous_strides(all)}, 0);
  }

  void* data() const { return space_.data(); }

  void take(const RecurrentLayerWeights<const T*>& w) const {
    each(w, [&](const T* matrix, const Shape& shape, const Strides& strides, T* place,
                const Strides& place_strides) {
      copy(device_, AnyView{place, dtype_of<T>, shape, place_strides},
           ConstAnyView{matrix, dtype_of<T>, shape, strides});
    });
  }
  void give(const RecurrentLayerWeights<T*>& w) const {
    each(w, [&](T* matrix, const Shape& shape, const Strides& strides, const T* place,
                const Strides& place_strides) {
      copy(device_, AnyView{matrix, dtype_of<T>, shape, strides},
           ConstAnyView{place, dtype_of<T>, shape, place_strides});
    });
  }

 private:
  /// Calls fn for each kind of weight with both its places, seen as [gates, hidden, columns].
  template <typename P, typename Fn>
  void each(const RecurrentLayerWeights<P>& w, const Fn& fn) const {
    const RecurrentLayerShape& s = layer_.shape();
    const auto places = layer_.places();
    const auto one = [&](P matrix, int64_t columns, CudnnRecurrent::Gates at) {
      if (!matrix) return;
      const Shape shape{s.gates(), s.hidden, columns};
      fn(matrix, shape, Strides{s.hidden, 1, s.gates() * s.hidden},
         static_cast<T*>(space_.data()) + at.first, Strides{at.step, columns, 1});
    };
    one(w.input, s.in, places.input);
    one(w.hidden, s.hidden, places.hidden);
    one(w.input_bias, 1, places.input_bias);
    one(w.hidden_bias, 1, places.hidden_bias);
  }

  const Cuda device_;
  const CudnnRecurrent& layer_;
  const LibraryWorkspace space_;
};

}  // namespace

template <typename T>
std::optional<RecurrentPlan> choose_recurrent_plan(
    Cuda device, const RecurrentLayerShape& shape, const std::function<void()>& own,
    const std::function<void(const RecurrentPlan&)>& cudnn) {
  CudnnRecurrentLayers* layers = CudnnRecurrentLayers::find(device.index);
  if (!layers) return std::nullopt;
  return layers->choose(shape, cudnn_type<T>, device.stream, own, cudnn);
}

template <typename T>
void recurrent_layer(Cuda device, const RecurrentPlan& plan, const RecurrentLayer<T>& n,
                     void* reserve) {
  CudnnRecurrentLayers& layers = CudnnRecurrentLayers::of(device.index);
  LibraryDevice& memory = layers.library().device();
  const CudnnRecurrent& layer = layers.layer(n.shape, cudnn_type<T>, plan.algorithm, device.stream);
  const WeightSpace<T> weights(device, memory, layer, Content::kWeights);
  weights.take(n.weights);
  const LibraryWorkspace workspace(memory, device.stream,
                                   static_cast<int64_t>(layer.workspace_bytes()));
  layer.forward(layers.library().handle(device.stream),
                {n.x, n.h0, n.c0, weights.data(), n.y, n.h, n.c, workspace.data(), reserve});
  memory.check_launch(n.shape.op(), device.stream);
}

template <typename T>
void recurrent_layer_gradient(Cuda device, const RecurrentPlan& plan,
                              const RecurrentLayerGradient<T>& n, const void* reserve) {
  CudnnRecurrentLayers& layers = CudnnRecurrentLayers::of(device.index);
  LibraryDevice& memory = layers.library().device();
  const CudnnRecurrent& layer = layers.layer(n.shape, cudnn_type<T>, plan.algorithm, device.stream);
  // cuDNN writes into the reserve, which another backward may need.
  const LibraryWorkspace spoilt(memory, device.stream, plan.reserve_bytes);
  if (plan.reserve_bytes > 0) {
    const Shape bytes{plan.reserve_bytes};
    copy(device, AnyView{spoilt.data(), DType::kU8, bytes, contiguous_strides(bytes)},
         ConstAnyView{reserve, DType::kU8, bytes, contiguous_strides(bytes)});
  }
  const WeightSpace<T> weights(device, memory, layer, Content::kWeights);
  weights.take(n.weights);
  const auto& d = n.dweights;
  std::optional<WeightSpace<T>> dweights;
  if (d.input || d.hidden || d.input_bias || d.hidden_bias) {
    dweights.emplace(device, memory, layer, Content::kGradients);
  }
  const LibraryWorkspace workspace(memory, device.stream,
                                   static_cast<int64_t>(layer.workspace_bytes()));
  layer.gradient(layers.library().handle(device.stream),
                 {n.x, n.y, n.h0, n.c0, weights.data(), n.dy, n.dh, n.dc, n.dx, n.dh0, n.dc0,
                  dweights ? dweights->data() : nullptr, workspace.data(), spoilt.data()});
  if (dweights) dweights->give(d);
  memory.check_launch(n.shape.op(), device.stream);
}

#define TRIREME_INSTANTIATE(T)                                                                \
  template std::optional<RecurrentPlan> choose_recurrent_plan<T>(                             \
      Cuda, const RecurrentLayerShape&, const std::function<void()>&,                         \
      const std::function<void(const RecurrentPlan&)>&);                                      \
  template void recurrent_layer(Cuda, const RecurrentPlan&, const RecurrentLayer<T>&, void*); \
  template void recurrent_layer_gradient(Cuda, const RecurrentPlan&,                          \
                                         const RecurrentLayerGradient<T>&, const void*)
TRIREME_INSTANTIATE(double);
TRIREME_INSTANTIATE(float);
TRIREME_INSTANTIATE(BFloat16);
TRIREME_INSTANTIATE(Float16);
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels
