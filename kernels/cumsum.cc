#include "kernels/cumsum.h"

#include "kernels/rows.h"

namespace trireme::kernels {

template <typename T>
void cumsum(Cpu, MatrixView<const T> x, CumsumFrom from, SumOf<T>* y) {
  const int64_t step = from == CumsumFrom::kFirst ? 1 : -1;
  each_row(x.rows, x.cols, [&](int64_t r) {
    const int64_t first = r * x.cols + (step > 0 ? 0 : x.cols - 1);
    RunningSum<T> sum = 0;
    for (int64_t i = 0; i < x.cols; ++i) {
      const int64_t at = first + i * step;
      sum += static_cast<RunningSum<T>>(Acc<T>{x.data[at]});
      y[at] = static_cast<SumOf<T>>(sum);
    }
  });
}

#define TRIREME_INSTANTIATE(T) \
  template void cumsum(Cpu, MatrixView<const T>, CumsumFrom, SumOf<T>*);
TRIREME_INSTANTIATE(double)
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(BFloat16)
TRIREME_INSTANTIATE(Float16)
TRIREME_INSTANTIATE(int64_t)
TRIREME_INSTANTIATE(int32_t)
TRIREME_INSTANTIATE(uint8_t)
TRIREME_INSTANTIATE(bool)
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels
