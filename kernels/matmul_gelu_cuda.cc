// Queues one cuBLASLt product with GELU (or its gradient and the bias's) in its epilogue, or a
// product and one pass, whichever is faster for the shape. The epilogue saves reading rows * out
// elements forward, and reading and writing that many backward.

#include <array>
#include <memory>

#include "core/base/settings.h"
#include "core/cuda/device.h"
#include "kernels/cublas_matmul.h"
#include "kernels/epilogue_choice.h"
#include "kernels/matmul_gelu.h"
#include "kernels/matmul_gelu_passes.h"

namespace trireme::kernels {
namespace {

EpilogueChoice& choice_of(int index) {
  thread_local std::array<std::unique_ptr<EpilogueChoice>, cuda::kMaxDevices> choices;
  auto& choice = choices[static_cast<size_t>(index)];
  if (!choice) {
    choice = std::make_unique<EpilogueChoice>(library_device(index),
                                              get_setting("TRIREME_TUNE") == "on");
  }
  return *choice;
}

template <typename T>
MatmulCall call_of(const StridedView<const T>& a, const StridedView<const T>& b,
                   const MatrixView<T>& c, Epilogue epilogue, const T* vector, const T* aux) {
  MatmulCall call{dtype_of<T>,
                  dtype_of<T>,
                  1,
                  c.rows,
                  c.cols,
                  a.shape[1],
                  {a.data, a.strides[0], a.strides[1], 0},
                  {b.data, b.strides[0], b.strides[1], 0},
                  c.data,
                  c.row_stride,
                  0};
  call.epilogue = epilogue;
  // What an epilogue reads and what it writes goes through the same two pointers.
  call.vector = const_cast<T*>(vector);
  call.aux = const_cast<T*>(aux);
  call.aux_row_stride = c.cols;
  return call;
}

/// cuBLASLt's GELU wants rows of aux that are a multiple of 16 bytes, and has none for f64.
template <typename T>
bool may_fuse(CublasMatmul& library, const StridedView<const T>& a, const StridedView<const T>& b,
              const MatmulCall& call) {
  const auto readable = [](const StridedView<const T>& x) {
    return has_unit_stride(x.shape[0], x.shape[1], x.strides[0], x.strides[1]);
  };
  return call.m > 0 && call.k > 0 && call.n * static_cast<int64_t>(sizeof(T)) % 16 == 0 &&
         readable(a) && readable(b) && !std::is_same_v<T, double> && library.supports(call);
}

EpilogueKey key_of(const MatmulCall& call) {
  return {static_cast<int64_t>(call.epilogue),
          static_cast<int64_t>(call.input),
          call.m,
          call.n,
          call.k,
          call.a.row_stride,
          call.a.col_stride,
          call.b.row_stride,
          call.b.col_stride,
          call.c_row_stride};
}

}  // namespace

template <typename T>
void matmul_gelu(Cuda device, StridedView<const T> x, StridedView<const T> weight,
                 const std::type_identity_t<T>* bias, MatrixView<T> pre, MatrixView<T> y) {
  CublasMatmul& library = CublasMatmul::of(device.index);
  const MatmulCall call = call_of<T>(x, weight, y, Epilogue::kGeluAux, bias, pre.data);
  const auto passes = [&] { gelu_in_passes<T>(device, x, weight, bias, pre, y); };
  if (!may_fuse(library, x, weight, call)) return passes();
  choice_of(device.index)
      .run(
          key_of(call), device.stream, [&] { library.run(call, device.stream); }, passes);
}

template <typename T>
void matmul_gelu_backward(Cuda device, StridedView<const T> dz, StridedView<const T> weight,
                          MatrixView<const T> pre, MatrixView<T> dpre,
                          std::type_identity_t<T>* dbias) {
  CublasMatmul& library = CublasMatmul::of(device.index);
  const MatmulCall call =
      call_of<T>(dz, weight, dpre, Epilogue::kDGeluBiasGradient, dbias, pre.data);
  const auto passes = [&] { gelu_backward_in_passes<T>(device, dz, weight, pre, dpre, dbias); };
  if (!may_fuse(library, dz, weight, call)) return passes();
  choice_of(device.index)
      .run(
          key_of(call), device.stream, [&] { library.run(call, device.stream); }, passes);
}

#define TRIREME_INSTANTIATE(T)                                                          \
  template void matmul_gelu(Cuda, StridedView<const T>, StridedView<const T>, const T*, \
                            MatrixView<T>, MatrixView<T>);                              \
  template void matmul_gelu_backward(Cuda, StridedView<const T>, StridedView<const T>,  \
                                     MatrixView<const T>, MatrixView<T>, T*)
TRIREME_INSTANTIATE(double);
TRIREME_INSTANTIATE(float);
TRIREME_INSTANTIATE(BFloat16);
TRIREME_INSTANTIATE(Float16);
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels
