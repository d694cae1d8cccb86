// From a batched product of any strides to calls that a BLAS library can read in place.
//
// What can be read in place: matrices with a unit stride in either direction, batches with any one
// stride (0 repeats a matrix). Anything else (no unit stride, repeated or overlapping rows) is
// copied first, its repeated leading dimensions once. Pure arithmetic on an Engine that allocates,
// copies and multiplies, so that it runs on host memory too.

#pragma once

#include <utility>

#include "core/base/dtype.h"
#include "kernels/fill_copy.h"
#include "kernels/matmul_batch.h"

namespace trireme::kernels {

/// What is done to the product on its way to memory. `vector` below is bias or its gradient.
enum class Epilogue {
  kNone,
  kBias,               // c = a b + vector
  kGeluAux,            // aux = a b + vector, c = gelu(aux), tanh form
  kDGeluBiasGradient,  // c = (a b) gelu'(aux), vector = column sums of c
};

/// One of `batch` matrices lies batch_stride elements behind the one before it.
struct MatmulOperand {
  const void* data;
  int64_t row_stride, col_stride, batch_stride;
};

/// c[batch, m, n] (+)= a[batch, m, k] b[batch, k, n]; row-major c with contiguous rows. a and b
/// have dtype `input`, c, vector and aux `output` (f32 may stand in for a 16-bit result).
struct MatmulCall {
  DType input, output;
  int64_t batch, m, n, k;
  MatmulOperand a, b;
  void* c;
  int64_t c_row_stride, c_batch_stride;
  Write write = Write::kOverwrite;
  Epilogue epilogue = Epilogue::kNone;
  void* vector = nullptr;  // [n]
  void* aux = nullptr;     // [m, n], rows aux_row_stride apart
  int64_t aux_row_stride = 0;
};

/// True if a library reads a [rows, cols] matrix with these strides where it lies.
inline bool has_unit_stride(int64_t rows, int64_t cols, int64_t row_stride, int64_t col_stride) {
  const bool one_row = rows == 1, one_col = cols == 1;
  return ((col_stride == 1 || one_col) && (row_stride >= cols || one_row)) ||
         ((row_stride == 1 || one_row) && (col_stride >= rows || one_col));
}

namespace detail {

/// Neighbouring leading dimensions that continue one another become one.
template <typename T>
void merge_leading(Batch<T>& batch) {
  for (int d = batch.leading() - 1; d > 0; --d) {
    const int64_t extent = batch.c.shape[d];
    bool continues = true;
    for (const Dims* strides : {&batch.a.strides, &batch.b.strides, &batch.c.strides}) {
      continues = continues && (*strides)[d - 1] == (*strides)[d] * extent;
    }
    if (!continues) continue;
    for (Dims* strides : {&batch.a.strides, &batch.b.strides, &batch.c.strides}) {
      (*strides)[d - 1] = (*strides)[d];
    }
    for (Dims* shape : {&batch.a.shape, &batch.b.shape, &batch.c.shape}) (*shape)[d - 1] *= extent;
    batch.drop(d);
  }
}

/// The leading dimension that becomes the library's batch: the longest that does not add up.
template <typename T>
int batch_dimension(const Batch<T>& batch) {
  int best = -1;
  for (int d = 0; d < batch.leading(); ++d) {
    if (batch.c.strides[d] != 0 && (best < 0 || batch.c.shape[d] > batch.c.shape[best])) best = d;
  }
  return best;
}

/// Calls fn(MatmulCall) for every product of the folded batch, in the order in which they add up.
/// c lies at `c` with batch.c's strides and dtype `output`.
template <typename T, typename Fn>
void each_matmul_call(Batch<T> batch, void* c, DType output, const T* bias, Write write, Fn&& fn) {
  merge_leading(batch);
  const int d = batch_dimension(batch);
  const int64_t count = d < 0 ? 1 : batch.c.shape[d];
  const auto stride = [&](const Dims& strides) { return d < 0 ? 0 : strides[d]; };
  const int64_t a = stride(batch.a.strides), b = stride(batch.b.strides);
  const int64_t step = stride(batch.c.strides);
  if (d >= 0) batch.drop(d);
  for (int64_t i = 0; i < batch.matrices(); ++i) {
    const Product<T> p = batch.product(i, bias, write);
    MatmulCall call{dtype_of<T>,
                    output,
                    count,
                    p.m,
                    p.n,
                    p.k,
                    {p.a.data, p.a.row_stride, p.a.col_stride, a},
                    {p.b.data, p.b.row_stride, p.b.col_stride, b},
                    static_cast<char*>(c) + (p.c - batch.c.data) * size_of(output),
                    p.c_row_stride,
                    step};
    call.write = p.write;
    if (bias) {
      call.epilogue = Epilogue::kBias;
      call.vector = const_cast<T*>(bias);  // read only, but gradients are written through it
    }
    fn(call);
  }
}

/// x itself where its matrices can be read in place, else a dense copy of it.
template <typename T, typename Engine>
StridedView<const T> readable(Engine& engine, const StridedView<const T>& x) {
  const int row = x.shape.rank() - 2, col = row + 1;
  if (has_unit_stride(x.shape[row], x.shape[col], x.strides[row], x.strides[col])) return x;
  Shape distinct = x.shape;
  for (int d = 0; d < row; ++d) distinct[d] = x.strides[d] == 0 ? 1 : x.shape[d];
  Strides strides = contiguous_strides(distinct);
  T* to = static_cast<T*>(engine.allocate(distinct.product() * int64_t{sizeof(T)}));
  engine.copy(AnyView{to, dtype_of<T>, distinct, strides},
              ConstAnyView{x.data, dtype_of<T>, distinct, x.strides});
  for (int d = 0; d < row; ++d) strides[d] = x.strides[d] == 0 ? 0 : strides[d];
  return {to, x.shape, strides};
}

/// The elements of c that differ: a dimension that adds up counts once.
template <typename T>
Shape distinct_shape(const StridedView<T>& c) {
  Shape shape = c.shape;
  for (int d = 0; d < shape.rank() - 2; ++d) shape[d] = c.strides[d] == 0 ? 1 : shape[d];
  return shape;
}

/// 16-bit matrices that add up do so in f32, and are rounded once.
template <typename T, typename Engine>
void sum_in_f32(Engine& engine, Batch<T> batch, Write write) {
  const StridedView<T> c = batch.c;
  const Shape shape = distinct_shape(c);
  const Strides dense = contiguous_strides(shape);
  void* sums = engine.allocate(shape.product() * int64_t{sizeof(float)});
  const AnyView sum{sums, DType::kF32, shape, dense};
  if (write == Write::kAccumulate) {
    engine.copy(sum, ConstAnyView{c.data, dtype_of<T>, shape, c.strides});
  }
  for (int d = 0; d < shape.rank(); ++d) {
    if (d >= batch.leading() || c.strides[d] != 0) batch.c.strides[d] = dense[d];
  }
  each_matmul_call<T>(batch, sums, DType::kF32, nullptr, write,
                      [&](const MatmulCall& call) { engine.multiply(call); });
  engine.copy(AnyView{c.data, dtype_of<T>, shape, c.strides},
              ConstAnyView{sums, DType::kF32, shape, dense});
}

/// An inner dimension of 0: zeros, or the bias in every row.
template <typename T, typename Engine>
void fill_product(Engine& engine, const StridedView<T>& c, const T* bias) {
  const Shape shape = distinct_shape(c);
  const AnyView to{c.data, dtype_of<T>, shape, c.strides};
  if (!bias) return engine.fill(to, 0);
  Strides repeated = Strides::filled(shape.rank(), 0);
  repeated.back() = 1;
  engine.copy(to, ConstAnyView{bias, dtype_of<T>, shape, repeated});
}

/// A bias that the library has no epilogue for (f64) is copied into every row and added to.
template <typename T, typename Engine>
void multiply(Engine& engine, MatmulCall call) {
  if (call.epilogue == Epilogue::kBias && !engine.supports(call)) {
    const Shape shape{call.batch, call.m, call.n};
    const Strides rows{call.c_batch_stride, call.c_row_stride, 1}, repeated{0, 0, 1};
    engine.copy(AnyView{call.c, call.output, shape, rows},
                ConstAnyView{call.vector, call.output, shape, repeated});
    call.epilogue = Epilogue::kNone;
    call.vector = nullptr;
    call.write = Write::kAccumulate;
  }
  engine.multiply(call);
}

}  // namespace detail

/// The contract of matmul (kernels/matmul.h) on an Engine:
///   void* allocate(int64_t bytes)     working memory that lives as long as the engine
///   void copy(AnyView, ConstAnyView), fill(AnyView, double)
///   void multiply(const MatmulCall&), bool supports(const MatmulCall&)
template <typename T, typename Engine>
void run_matmul(Engine& engine, StridedView<const T> a, StridedView<const T> b, StridedView<T> c,
                const T* bias, Write write) {
  if (c.count() == 0) return;
  if (a.shape.back() == 0) {
    if (write == Write::kOverwrite) detail::fill_product(engine, c, bias);
    return;
  }
  Batch<T> batch{a, b, c};
  // A dense copy may fold further, and what is folded has other strides: hence twice.
  for (int pass = 0; pass < 2; ++pass) {
    batch.fold();
    batch.a = detail::readable(engine, batch.a);
    batch.b = detail::readable(engine, batch.b);
  }
  if constexpr (is_half<T>) {
    if (batch.sums()) return detail::sum_in_f32(engine, batch, write);
  }
  detail::each_matmul_call<T>(batch, c.data, dtype_of<T>, bias, write,
                              [&](const MatmulCall& call) { detail::multiply<T>(engine, call); });
}

}  // namespace trireme::kernels
