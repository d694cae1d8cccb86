#include "kernels/gather.h"

#include <algorithm>

#include "kernels/element_size.h"
#include "kernels/half_rows.h"
#include "kernels/strided_loop.h"

namespace trireme::kernels {
namespace {

// Every line along a dimension adds to a line of its own, so threads take lines.
template <typename T, typename Id>
void add_lines(const StridedView<const T>& src, int dim, const Id* ids, const StridedView<T>& y,
               Acc<T>* sums) {
  Shape lines = src.shape;
  Strides from = contiguous_strides(src.shape), to = y.strides;
  const int64_t from_step = from[dim], to_step = to[dim], length = lines[dim];
  for (Dims* dims : {&lines, &from, &to}) dims->erase(dim);
  const auto loop = plan_loop<2>(lines, {&to, &from});
  const int64_t to_next = loop.inner_stride(0), from_next = loop.inner_stride(1);
  const int64_t grain = std::max<int64_t>(1, kPointwiseGrain / std::max<int64_t>(1, length));
  parallel_for(loop.count, grain, [&](int64_t begin, int64_t end) {
    walk(loop, begin, end, [&](const int64_t(&offset)[2], int64_t n) {
      const T* in = src.data + offset[1];
      const Id* id = ids + offset[1];
      Acc<T>* out = sums + offset[0];
      const auto add = [=](int64_t line, int64_t i) {
        const int64_t at = line * from_next + i * from_step;
        out[line * to_next + id[at] * to_step] += Acc<T>{in[at]};
      };
      // Memory is read in the order it lies in.
      if (from_next <= from_step) {
        for (int64_t i = 0; i < length; ++i) {
          for (int64_t line = 0; line < n; ++line) add(line, i);
        }
      } else {
        for (int64_t line = 0; line < n; ++line) {
          for (int64_t i = 0; i < length; ++i) add(line, i);
        }
      }
    });
  });
}

}  // namespace

template <typename Id>
void gather(Cpu, ConstAnyView x, int dim, const StridedView<const Id>& ids, void* y) {
  const Strides y_strides = contiguous_strides(ids.shape);
  Strides x_strides = x.strides;
  x_strides[dim] = 0;
  const auto loop = plan_loop<3>(ids.shape, {&y_strides, &ids.strides, &x_strides});
  const int64_t step = x.strides[dim];
  const int64_t id_next = loop.inner_stride(1), x_next = loop.inner_stride(2);
  dispatch_size(x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    parallel_walk(loop, [&](const int64_t(&offset)[3], int64_t n) {
      T* out = static_cast<T*>(y) + offset[0];
      const Id* id = ids.data + offset[1];
      const T* in = static_cast<const T*>(x.data) + offset[2];
      if (id_next == 0 && x_next == 1) {
        std::copy_n(in + *id * step, n, out);
      } else {
        for (int64_t i = 0; i < n; ++i) out[i] = in[i * x_next + id[i * id_next] * step];
      }
    });
  });
}

template <typename T, typename Id>
void scatter_sum(Cpu, const StridedView<const T>& src, int dim, const Id* ids,
                 const StridedView<T>& y) {
  const int64_t count = y.count();
  Acc<T>* const sums = unfinished_row(Scratch::kTotals, y.data, count);
  parallel_for(count, kPointwiseGrain,
               [&](int64_t begin, int64_t end) { std::fill(sums + begin, sums + end, Acc<T>{0}); });
  add_lines(src, dim, ids, y, sums);
  parallel_for(count, kPointwiseGrain, [&](int64_t begin, int64_t end) {
    finish_row(sums + begin, y.data + begin, end - begin);
  });
}

template void gather(Cpu, ConstAnyView, int, const StridedView<const int64_t>&, void*);
template void gather(Cpu, ConstAnyView, int, const StridedView<const int32_t>&, void*);
#define TRIREME_INSTANTIATE_ID(T, Id)                                                \
  template void scatter_sum<T, Id>(Cpu, const StridedView<const T>&, int, const Id*, \
                                   const StridedView<T>&);
#define TRIREME_INSTANTIATE(T)       \
  TRIREME_INSTANTIATE_ID(T, int64_t) \
  TRIREME_INSTANTIATE_ID(T, int32_t)
TRIREME_INSTANTIATE(double)
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(BFloat16)
TRIREME_INSTANTIATE(Float16)
TRIREME_INSTANTIATE(int64_t)
TRIREME_INSTANTIATE(int32_t)
#undef TRIREME_INSTANTIATE
#undef TRIREME_INSTANTIATE_ID

}  // namespace trireme::kernels
