#include "kernels/onednn_gemm.h"

#include "core/base/error.h"
#include "core/base/parallel_for.h"
#include "kernels/onednn.h"
#include "kernels/scratch.h"

namespace trireme::kernels {
namespace {

using dnnl::memory;
using onednn::cpu_engine;

// oneDNN wants the second stride to be a true leading dimension even where one extent is 1.
template <typename T>
bool readable(Operand<T> x, int64_t rows, int64_t cols) {
  return (x.col_stride == 1 && x.row_stride >= cols) || (x.row_stride == 1 && x.col_stride >= rows);
}

// From this many rows on, copying B into the layout that the kernel reads best costs under 2 % and
// saves it from leading dimensions that are large powers of two, which would halve the speed. With
// 256 rows (a weight gradient of a narrow layer) it still costs 4 %.
constexpr int64_t kPackFromRows = 512;

/// A primitive with its arguments; only the data pointers change between calls.
struct Product {
  dnnl::matmul primitive;
  memory a, b, bias, c, packed;
  dnnl::reorder pack;
  bool packs = false;
};

template <typename T>
Product make_product(const OnednnGemm<T>& g) {
  constexpr auto kType = onednn::kTypeOf<T>;
  const memory::desc a({g.m, g.k}, kType, {g.a.row_stride, g.a.col_stride});
  const memory::desc b({g.k, g.n}, kType, {g.b.row_stride, g.b.col_stride});
  const memory::desc c({g.m, g.n}, kType, {g.c_row_stride, 1});
  const memory::desc bias({1, g.n}, kType, memory::dims{g.n, 1});
  dnnl::primitive_attr attributes;
  if (g.write == Write::kAccumulate) {
    dnnl::post_ops add;
    add.append_sum(1.0f);
    attributes.set_post_ops(add);
  }
  Product p;
  const memory::desc any({g.k, g.n}, kType, memory::format_tag::any);
  const memory::desc& weights = is_half<T> || g.m >= kPackFromRows ? any : b;
  const auto desc =
      g.bias ? dnnl::matmul::desc(a, weights, bias, c) : dnnl::matmul::desc(a, weights, c);
  const dnnl::matmul::primitive_desc chosen(desc, attributes, cpu_engine());
  p.primitive = dnnl::matmul(chosen);
  p.a = memory(a, cpu_engine(), nullptr);
  p.b = memory(b, cpu_engine(), nullptr);
  p.c = memory(c, cpu_engine(), nullptr);
  if (g.bias) p.bias = memory(bias, cpu_engine(), nullptr);
  p.packs = chosen.weights_desc() != b;
  if (p.packs) {
    p.packed = memory(chosen.weights_desc(), cpu_engine(), nullptr);
    p.pack = dnnl::reorder(p.b, p.packed);
  }
  return p;
}

}  // namespace

template <typename T>
bool onednn_can_run(const OnednnGemm<T>& g) {
  return onednn::is_native<T>() && readable(g.a, g.m, g.k) && readable(g.b, g.k, g.n) &&
         g.c_row_stride >= g.n;
}

template <typename T>
void onednn_gemm(const OnednnGemm<T>& g) {
  thread_local onednn::PrimitiveCache<11, Product> products;
  try {
    Product& p = products.get(
        {g.m, g.n, g.k, g.a.row_stride, g.a.col_stride, g.b.row_stride, g.b.col_stride,
         g.c_row_stride, g.bias != nullptr, g.write == Write::kAccumulate, num_threads()},
        [&] { return make_product(g); });
    p.a.set_data_handle(const_cast<T*>(g.a.data));
    p.b.set_data_handle(const_cast<T*>(g.b.data));
    p.c.set_data_handle(g.c);
    const memory* weights = &p.b;
    if (p.packs) {
      const auto bytes = static_cast<int64_t>(p.packed.get_desc().get_size());
      p.packed.set_data_handle(scratch_bytes(Scratch::kPackedWeights, bytes));
      const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, p.b.get()}, {DNNL_ARG_TO, p.packed.get()}};
      onednn::execute("matmul", p.pack, args, 2);
      weights = &p.packed;
    }
    dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, p.a.get()},
                              {DNNL_ARG_WEIGHTS, weights->get()},
                              {DNNL_ARG_DST, p.c.get()},
                              {DNNL_ARG_BIAS, nullptr}};
    if (g.bias) {
      p.bias.set_data_handle(const_cast<T*>(g.bias));
      args[3].memory = p.bias.get();
    }
    onednn::execute("matmul", p.primitive, args, g.bias ? 4 : 3);
  } catch (const dnnl::error& error) {
    throw Error(concat("matmul: oneDNN refused [", g.m, ", ", g.k, "] x [", g.k, ", ", g.n,
                       "]: ", error.what()));
  }
}

template bool onednn_can_run(const OnednnGemm<float>&);
template bool onednn_can_run(const OnednnGemm<BFloat16>&);
template void onednn_gemm(const OnednnGemm<float>&);
template void onednn_gemm(const OnednnGemm<BFloat16>&);

}  // namespace trireme::kernels
