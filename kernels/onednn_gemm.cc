#include "kernels/onednn_gemm.h"

#include <array>
#include <unordered_map>

#include <dnnl.hpp>

#include "core/base/error.h"
#include "core/base/parallel_for.h"
#include "kernels/scratch.h"

namespace trireme::kernels {
namespace {

using dnnl::memory;

// oneDNN wants the second stride to be a true leading dimension even where one extent is 1.
bool readable(Operand<float> x, int64_t rows, int64_t cols) {
  return (x.col_stride == 1 && x.row_stride >= cols) || (x.row_stride == 1 && x.col_stride >= rows);
}

// From this many rows on, copying B into the layout that the kernel reads best costs under 2 % and
// saves it from leading dimensions that are large powers of two, which would halve the speed. With
// 256 rows (a weight gradient of a narrow layer) it still costs 4 %.
constexpr int64_t kPackFromRows = 512;

using Key = std::array<int64_t, 11>;
struct HashKey {
  size_t operator()(const Key& key) const {
    uint64_t h = 0;
    for (int64_t v : key) h = (h ^ static_cast<uint64_t>(v)) * 0x9E3779B97F4A7C15u + (h >> 29);
    return h ^ (h >> 32);
  }
};

/// A primitive with its arguments; only the data pointers change between calls.
struct Product {
  dnnl::matmul primitive;
  memory a, b, bias, c, packed;
  dnnl::reorder pack;
  bool packs = false;
};

const dnnl::engine& cpu_engine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

Product make_product(const OnednnGemm& g) {
  const auto f32 = memory::data_type::f32;
  const memory::desc a({g.m, g.k}, f32, {g.a.row_stride, g.a.col_stride});
  const memory::desc b({g.k, g.n}, f32, {g.b.row_stride, g.b.col_stride});
  const memory::desc c({g.m, g.n}, f32, {g.c_row_stride, 1});
  const memory::desc bias({1, g.n}, f32, memory::dims{g.n, 1});
  dnnl::primitive_attr attributes;
  if (g.write == Write::kAccumulate) {
    dnnl::post_ops add;
    add.append_sum(1.0f);
    attributes.set_post_ops(add);
  }
  Product p;
  const memory::desc any({g.k, g.n}, f32, memory::format_tag::any);
  const memory::desc& weights = g.m >= kPackFromRows ? any : b;
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

void execute(const dnnl::primitive& primitive, dnnl_stream_t stream, const dnnl_exec_arg_t* args,
             int count) {
  const dnnl_status_t status = dnnl_primitive_execute(primitive.get(), stream, count, args);
  if (status != dnnl_success) throw Error(concat("matmul: oneDNN failed with status ", status));
}

}  // namespace

bool onednn_can_read(const OnednnGemm& g) {
  return readable(g.a, g.m, g.k) && readable(g.b, g.k, g.n) && g.c_row_stride >= g.n;
}

void onednn_gemm(const OnednnGemm& g) {
  thread_local dnnl::stream stream(cpu_engine());
  thread_local std::unordered_map<Key, Product, HashKey> products;
  // A program with ever new shapes must not keep a primitive for each.
  constexpr size_t kMostProducts = 1024;
  if (products.size() >= kMostProducts) products.clear();

  // The thread count belongs to the key: primitives divide their work when they are made.
  const Key key{g.m,
                g.n,
                g.k,
                g.a.row_stride,
                g.a.col_stride,
                g.b.row_stride,
                g.b.col_stride,
                g.c_row_stride,
                g.bias != nullptr,
                g.write == Write::kAccumulate,
                num_threads()};
  try {
    auto found = products.find(key);
    if (found == products.end()) found = products.emplace(key, make_product(g)).first;
    Product& p = found->second;
    p.a.set_data_handle(const_cast<float*>(g.a.data));
    p.b.set_data_handle(const_cast<float*>(g.b.data));
    p.c.set_data_handle(g.c);
    const memory* weights = &p.b;
    if (p.packs) {
      const auto bytes = static_cast<int64_t>(p.packed.get_desc().get_size());
      p.packed.set_data_handle(scratch_bytes(Scratch::kPackedWeights, bytes));
      const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, p.b.get()}, {DNNL_ARG_TO, p.packed.get()}};
      execute(p.pack, stream.get(), args, 2);
      weights = &p.packed;
    }
    dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, p.a.get()},
                              {DNNL_ARG_WEIGHTS, weights->get()},
                              {DNNL_ARG_DST, p.c.get()},
                              {DNNL_ARG_BIAS, nullptr}};
    if (g.bias) {
      p.bias.set_data_handle(const_cast<float*>(g.bias));
      args[3].memory = p.bias.get();
    }
    execute(p.primitive, stream.get(), args, g.bias ? 4 : 3);
  } catch (const dnnl::error& error) {
    throw Error(concat("matmul: oneDNN refused [", g.m, ", ", g.k, "] x [", g.k, ", ", g.n,
                       "]: ", error.what()));
  }
}

}  // namespace trireme::kernels
