#include "kernels/onednn_conv2d.h"

#include <cstring>

#include "core/base/parallel_for.h"
#include "kernels/onednn.h"
#include "kernels/scratch.h"

namespace trireme::kernels {
namespace {

using dnnl::memory;
using onednn::cpu_engine;

// kInputSums: the gradient of the input in f32 whatever the operands are.
enum class Direction { kForward, kForwardBias, kInputGradient, kInputSums, kWeightGradient };

bool is_to_input(Direction d) {
  return d == Direction::kInputGradient || d == Direction::kInputSums;
}

/// A primitive with its arguments; only the data pointers change between calls.
struct Convolution {
  dnnl::primitive primitive;
  memory image, result;         // x or dx, and y or dy
  memory weight, packed, bias;  // packed: in oneDNN's own layout
  dnnl::reorder pack;           // weight -> packed, or packed -> weight for its gradient
  bool packs = false;
  bool is_slow = false;  // oneDNN has a reference only
};

bool is_reference(const char* name) { return std::strncmp(name, "ref", 3) == 0; }

/// The memories and attributes that all directions describe their primitive with.
struct Described {
  Described(const Conv2dGeometry& g, memory::data_type type, memory::data_type image_type)
      : image({g.batch, g.in_channels, g.height, g.width}, image_type, memory::format_tag::nhwc),
        result({g.batch, g.out_channels, g.out_height(), g.out_width()}, type,
               memory::format_tag::nhwc),
        bias({g.out_channels}, type, memory::format_tag::a),
        strides{g.stride_h, g.stride_w},
        dilates{g.dilation_h - 1, g.dilation_w - 1},
        pads{g.pad_h, g.pad_w} {
    const int64_t in = g.in_channels / g.groups, out = g.out_channels / g.groups;
    const int64_t row = g.kernel_w * in, filter = g.kernel_h * row;
    if (g.groups == 1) {
      const memory::dims dims{out, in, g.kernel_h, g.kernel_w};
      weight = memory::desc(dims, type, memory::dims{filter, 1, row, in});
      any_weight = memory::desc(dims, type, memory::format_tag::any);
    } else {
      const memory::dims dims{g.groups, out, in, g.kernel_h, g.kernel_w};
      weight = memory::desc(dims, type, memory::dims{out * filter, filter, 1, row, in});
      any_weight = memory::desc(dims, type, memory::format_tag::any);
    }
  }

  memory::desc image, result, bias, weight, any_weight;
  memory::dims strides, dilates, pads;
};

dnnl::convolution_forward::primitive_desc forward_desc(const Described& d, bool has_bias) {
  const auto algorithm = dnnl::algorithm::convolution_direct;
  const auto kind = dnnl::prop_kind::forward_training;
  const auto desc =
      has_bias ? dnnl::convolution_forward::desc(kind, algorithm, d.image, d.any_weight, d.bias,
                                                 d.result, d.strides, d.dilates, d.pads, d.pads)
               : dnnl::convolution_forward::desc(kind, algorithm, d.image, d.any_weight, d.result,
                                                 d.strides, d.dilates, d.pads, d.pads);
  return {desc, cpu_engine()};
}

Convolution make(const Conv2dGeometry& g, Direction direction, memory::data_type type) {
  const bool is_wide = direction == Direction::kInputSums;
  const Described d(g, type, is_wide ? memory::data_type::f32 : type);
  Convolution c;
  const auto algorithm = dnnl::algorithm::convolution_direct;
  memory::desc chosen;
  if (is_to_input(direction)) {
    const dnnl::convolution_backward_data::primitive_desc desc(
        {algorithm, d.image, d.any_weight, d.result, d.strides, d.dilates, d.pads, d.pads},
        cpu_engine(), forward_desc(Described(g, type, type), false));
    c.primitive = dnnl::convolution_backward_data(desc);
    chosen = desc.weights_desc();
    c.is_slow = is_reference(desc.impl_info_str());
  } else if (direction == Direction::kWeightGradient) {
    const dnnl::convolution_backward_weights::primitive_desc desc(
        {algorithm, d.image, d.any_weight, d.result, d.strides, d.dilates, d.pads, d.pads},
        cpu_engine(), forward_desc(d, false));
    c.primitive = dnnl::convolution_backward_weights(desc);
    chosen = desc.diff_weights_desc();
    c.is_slow = is_reference(desc.impl_info_str());
  } else {
    const auto desc = forward_desc(d, direction == Direction::kForwardBias);
    c.primitive = dnnl::convolution_forward(desc);
    chosen = desc.weights_desc();
    c.is_slow = is_reference(desc.impl_info_str());
  }
  c.image = memory(d.image, cpu_engine(), nullptr);
  c.result = memory(d.result, cpu_engine(), nullptr);
  c.bias = memory(d.bias, cpu_engine(), nullptr);
  c.weight = memory(d.weight, cpu_engine(), nullptr);
  c.packs = chosen != d.weight;
  if (c.packs) {
    c.packed = memory(chosen, cpu_engine(), nullptr);
    c.pack = direction == Direction::kWeightGradient ? dnnl::reorder(c.packed, c.weight)
                                                     : dnnl::reorder(c.weight, c.packed);
  }
  return c;
}

/// Runs `direction`; the pointers are those of the arguments it has. False: bf16 is slow here.
template <typename T>
bool run(const Conv2dGeometry& g, Direction direction, const void* image, const T* weight,
         const T* bias, const T* result) {
  if (!onednn::is_native<T>()) return false;
  thread_local onednn::PrimitiveCache<16, Convolution> made;
  const auto set = [](memory& m, const void* data) {
    m.set_data_handle(const_cast<void*>(data));
    return m.get();
  };
  try {
    Convolution& c =
        made.get({static_cast<int64_t>(direction), g.batch, g.height, g.width, g.in_channels,
                  g.out_channels, g.kernel_h, g.kernel_w, g.stride_h, g.stride_w, g.pad_h, g.pad_w,
                  g.dilation_h, g.dilation_w, g.groups, num_threads()},
                 [&] { return make(g, direction, onednn::kTypeOf<T>); });
    if (is_half<T> && c.is_slow) return false;
    dnnl_memory_t weights = set(c.weight, weight);
    if (c.packs) {
      const auto bytes = static_cast<int64_t>(c.packed.get_desc().get_size());
      weights = set(c.packed, scratch_bytes(Scratch::kPackedWeights, bytes));
    }
    const auto copy_weights = [&](memory& from, memory& to) {
      const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from.get()}, {DNNL_ARG_TO, to.get()}};
      if (c.packs) onednn::execute("conv2d", c.pack, args, 2);
    };
    dnnl_memory_t x = set(c.image, image), y = set(c.result, result);
    if (is_to_input(direction)) {
      copy_weights(c.weight, c.packed);
      const dnnl_exec_arg_t args[] = {
          {DNNL_ARG_DIFF_DST, y}, {DNNL_ARG_WEIGHTS, weights}, {DNNL_ARG_DIFF_SRC, x}};
      onednn::execute("conv2d", c.primitive, args, 3);
    } else if (direction == Direction::kWeightGradient) {
      const dnnl_exec_arg_t args[] = {
          {DNNL_ARG_SRC, x}, {DNNL_ARG_DIFF_DST, y}, {DNNL_ARG_DIFF_WEIGHTS, weights}};
      onednn::execute("conv2d", c.primitive, args, 3);
      copy_weights(c.packed, c.weight);
    } else {
      copy_weights(c.weight, c.packed);
      const dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, x},
                                      {DNNL_ARG_WEIGHTS, weights},
                                      {DNNL_ARG_DST, y},
                                      {DNNL_ARG_BIAS, set(c.bias, bias)}};
      onednn::execute("conv2d", c.primitive, args, bias ? 4 : 3);
    }
  } catch (const dnnl::error& error) {
    throw Error(concat("conv2d: oneDNN refused [", g.batch, ", ", g.height, ", ", g.width, ", ",
                       g.in_channels, "] x [", g.out_channels, ", ", g.kernel_h, ", ", g.kernel_w,
                       ", ", g.in_channels / g.groups, "]: ", error.what()));
  }
  return true;
}

}  // namespace

template <typename T>
bool onednn_conv2d(const Conv2dGeometry& g, const T* x, const T* weight, const T* bias, T* y) {
  return run<T>(g, bias ? Direction::kForwardBias : Direction::kForward, x, weight, bias, y);
}
template <typename T, typename Result>
bool onednn_conv2d_input_gradient(const Conv2dGeometry& g, const T* dy, const T* weight,
                                  Result* dx) {
  constexpr bool kSame = std::is_same_v<T, Result>;
  return run<T>(g, kSame ? Direction::kInputGradient : Direction::kInputSums, dx, weight, nullptr,
                dy);
}
template <typename T>
bool onednn_conv2d_weight_gradient(const Conv2dGeometry& g, const T* x, const T* dy, T* dweight) {
  return run<T>(g, Direction::kWeightGradient, x, dweight, nullptr, dy);
}

#define TRIREME_INSTANTIATE(T)                                                               \
  template bool onednn_conv2d(const Conv2dGeometry&, const T*, const T*, const T*, T*);      \
  template bool onednn_conv2d_input_gradient(const Conv2dGeometry&, const T*, const T*, T*); \
  template bool onednn_conv2d_weight_gradient(const Conv2dGeometry&, const T*, const T*, T*);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(BFloat16)
#undef TRIREME_INSTANTIATE
template bool onednn_conv2d_input_gradient(const Conv2dGeometry&, const BFloat16*, const BFloat16*,
                                           float*);

}  // namespace trireme::kernels
