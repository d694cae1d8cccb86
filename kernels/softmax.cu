// Softmax and log-softmax of rows.
//
// A warp takes a row of up to 128 packs of 16 bytes, up to a block of 256 threads a longer one.
// Each row is read twice, the second time from the caches, and written once: forward moves 2,
// backward 3 elements per element of x from and to memory, at an expected 85 % of 4.3 TB/s on an
// H200 where rows are longer than a few packs. Rows may start anywhere as long as all operands
// start alike; where they do not, one element per access.

#include "kernels/softmax.h"

#include "kernels/cuda/launch_rows.cuh"
#include "kernels/cuda/softmax_body.h"

namespace trireme::kernels {
namespace {

enum class Rule { kSoftmax, kLogSoftmax };

constexpr int kPacksPerThread = 4;

template <Rule kRule, int W, typename T>
struct Forward {
  MatrixView<const T> x;
  MatrixView<T> y;
  template <typename Group>
  TRIREME_HD void operator()(const Group& group, int64_t r) const {
    const T* from = x.data + r * x.row_stride;
    T* to = y.data + r * y.row_stride;
    if constexpr (kRule == Rule::kSoftmax) {
      softmax_row<T, W>(group, from, to, x.cols);
    } else {
      log_softmax_row<T, W>(group, from, to, x.cols);
    }
  }
};

template <Rule kRule, int W, typename T>
struct Backward {
  MatrixView<const T> y, dy;
  MatrixView<T> dx;
  template <typename Group>
  TRIREME_HD void operator()(const Group& group, int64_t r) const {
    const T* a = y.data + r * y.row_stride;
    const T* b = dy.data + r * dy.row_stride;
    T* to = dx.data + r * dx.row_stride;
    if constexpr (kRule == Rule::kSoftmax) {
      softmax_backward_row<T, W>(group, a, b, to, y.cols);
    } else {
      log_softmax_backward_row<T, W>(group, a, b, to, y.cols);
    }
  }
};

template <Rule kRule, typename T>
void forward(const char* op, Cuda device, MatrixView<const T> x, MatrixView<T> y) {
  if (x.rows == 0 || x.cols == 0) return;
  constexpr int kW = kRowPack<T>;
  if (kW > 1 && rows_are_congruent<kW>(x, y)) {
    return launch_rows(op, device, x.rows, threads_per_row(x.cols / kW, kPacksPerThread),
                       Forward<kRule, kW, T>{x, y});
  }
  launch_rows(op, device, x.rows, threads_per_row(x.cols, kPacksPerThread),
              Forward<kRule, 1, T>{x, y});
}

template <Rule kRule, typename T>
void backward(const char* op, Cuda device, MatrixView<const T> y, MatrixView<const T> dy,
              MatrixView<T> dx) {
  if (y.rows == 0 || y.cols == 0) return;
  constexpr int kW = kRowPack<T>;
  if (kW > 1 && rows_are_congruent<kW>(y, dy) && rows_are_congruent<kW>(y, dx)) {
    return launch_rows(op, device, y.rows, threads_per_row(y.cols / kW, kPacksPerThread),
                       Backward<kRule, kW, T>{y, dy, dx});
  }
  launch_rows(op, device, y.rows, threads_per_row(y.cols, kPacksPerThread),
              Backward<kRule, 1, T>{y, dy, dx});
}

}  // namespace

template <typename T>
void softmax(Cuda device, MatrixView<const T> x, MatrixView<T> y) {
  forward<Rule::kSoftmax>("softmax", device, x, y);
}
template <typename T>
void softmax_backward(Cuda device, MatrixView<const T> y, MatrixView<const T> dy,
                      MatrixView<T> dx) {
  backward<Rule::kSoftmax>("softmax backward", device, y, dy, dx);
}
template <typename T>
void log_softmax(Cuda device, MatrixView<const T> x, MatrixView<T> y) {
  forward<Rule::kLogSoftmax>("log_softmax", device, x, y);
}
template <typename T>
void log_softmax_backward(Cuda device, MatrixView<const T> y, MatrixView<const T> dy,
                          MatrixView<T> dx) {
  backward<Rule::kLogSoftmax>("log_softmax backward", device, y, dy, dx);
}

#define TRIREME_INSTANTIATE(T)                                                                   \
  template void softmax(Cuda, MatrixView<const T>, MatrixView<T>);                               \
  template void softmax_backward(Cuda, MatrixView<const T>, MatrixView<const T>, MatrixView<T>); \
  template void log_softmax(Cuda, MatrixView<const T>, MatrixView<T>);                           \
  template void log_softmax_backward(Cuda, MatrixView<const T>, MatrixView<const T>, MatrixView<T>)
TRIREME_INSTANTIATE(double);
TRIREME_INSTANTIATE(float);
TRIREME_INSTANTIATE(BFloat16);
TRIREME_INSTANTIATE(Float16);
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels
