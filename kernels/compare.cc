#include "kernels/compare.h"

#include "kernels/element_size.h"
#include "kernels/strided_loop.h"

namespace trireme::kernels {
namespace {

template <typename T, typename Holds>
void compare_strided(const StridedLoop<3>& loop, const void* a, const void* b, bool* y,
                     const Holds& holds) {
  const int64_t as = loop.inner_stride(1), bs = loop.inner_stride(2);
  parallel_walk(loop, [=](const int64_t(&offset)[3], int64_t n) {
    bool* out = y + offset[0];
    const T* lhs = static_cast<const T*>(a) + offset[1];
    const T* rhs = static_cast<const T*>(b) + offset[2];
    if (as == 1 && bs == 1) {
      for (int64_t i = 0; i < n; ++i) out[i] = holds(lhs[i], rhs[i]);
    } else {
      for (int64_t i = 0; i < n; ++i) out[i] = holds(lhs[i * as], rhs[i * bs]);
    }
  });
}

template <typename T>
void select_strided(const StridedLoop<4>& loop, const bool* condition, const void* a, const void* b,
                    void* y) {
  const int64_t cs = loop.inner_stride(1), as = loop.inner_stride(2), bs = loop.inner_stride(3);
  parallel_walk(loop, [=](const int64_t(&offset)[4], int64_t n) {
    T* out = static_cast<T*>(y) + offset[0];
    const bool* chosen = condition + offset[1];
    const T* lhs = static_cast<const T*>(a) + offset[2];
    const T* rhs = static_cast<const T*>(b) + offset[3];
    if (cs == 1 && as == 1 && bs == 1) {
      for (int64_t i = 0; i < n; ++i) out[i] = chosen[i] ? lhs[i] : rhs[i];
    } else {
      for (int64_t i = 0; i < n; ++i) out[i] = chosen[i * cs] ? lhs[i * as] : rhs[i * bs];
    }
  });
}

}  // namespace

void compare(Cpu, Comparison comparison, ConstAnyView a, ConstAnyView b, bool* y) {
  const Strides y_strides = contiguous_strides(a.shape);
  const auto loop = plan_loop<3>(a.shape, {&y_strides, &a.strides, &b.strides});
  dispatch_dtype(a.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    dispatch_comparison(comparison, [&](auto constant) {
      compare_strided<T>(loop, a.data, b.data, y,
                         [](T l, T r) { return holds<decltype(constant)::value, Acc<T>>(l, r); });
    });
  });
}

void select(Cpu, ConstAnyView condition, ConstAnyView a, ConstAnyView b, void* y) {
  const Strides y_strides = contiguous_strides(a.shape);
  const auto loop = plan_loop<4>(a.shape, {&y_strides, &condition.strides, &a.strides, &b.strides});
  const bool* chosen = static_cast<const bool*>(condition.data);
  static constexpr uint64_t kZero = 0;
  const void* const lhs = a.data ? a.data : &kZero;
  const void* const rhs = b.data ? b.data : &kZero;
  dispatch_size(a.dtype, [&](auto tag) {
    select_strided<typename decltype(tag)::type>(loop, chosen, lhs, rhs, y);
  });
}

}  // namespace trireme::kernels
