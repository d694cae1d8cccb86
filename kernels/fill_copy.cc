#include "kernels/fill_copy.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "kernels/arithmetic_dtypes.h"
#include "kernels/element_size.h"
#include "kernels/half_rows.h"
#include "kernels/strided_loop.h"

namespace trireme::kernels {
namespace {

template <typename To, typename From>
To convert(From value) {
  if constexpr (std::is_same_v<To, bool>) {
    return value != From{0};
  } else {
    return static_cast<To>(Acc<From>{value});
  }
}

template <typename To, typename From>
void convert_run(To* dst, int64_t dst_stride, const From* src, int64_t src_stride, int64_t n) {
  if (dst_stride == 1 && src_stride == 1) {
    if constexpr (!std::is_same_v<To, bool> && std::is_same_v<Acc<To>, float> &&
                  std::is_same_v<Acc<From>, float>) {
      convert_row(dst, src, n);
    } else {
      for (int64_t i = 0; i < n; ++i) dst[i] = convert<To>(src[i]);
    }
  } else {
    for (int64_t i = 0; i < n; ++i) dst[i * dst_stride] = convert<To>(src[i * src_stride]);
  }
}

template <typename To, typename From>
void copy_strided(const StridedLoop<2>& loop, void* dst, const void* src) {
  parallel_walk(loop, [&](const int64_t(&offset)[2], int64_t n) {
    convert_run(static_cast<To*>(dst) + offset[0], loop.inner_stride(0),
                static_cast<const From*>(src) + offset[1], loop.inner_stride(1), n);
  });
}

// dst is dense along the innermost dimension, src along dimension `other`. These two dimensions are
// copied in square tiles of one cache line a side, through a buffer: so each line of src and of dst
// is touched once, also where rows lie a power of two apart and would evict each other.
template <typename T>
void copy_transposed(const StridedLoop<2>& loop, int other, T* dst, const T* src) {
  constexpr int64_t kTile = 64 / sizeof(T);
  const int inner = loop.rank - 1;
  const int64_t rows = loop.extent[other], cols = loop.extent[inner];
  const int64_t dst_row = loop.stride[0][other], src_col = loop.stride[1][inner];
  const int64_t bands = (rows + kTile - 1) / kTile;
  const int64_t matrices = loop.count / (rows * cols);
  const int64_t grain = std::max<int64_t>(1, kPointwiseGrain / (kTile * cols));
  parallel_for(matrices * bands, grain, [&](int64_t begin, int64_t end) {
    alignas(64) T tile[kTile][kTile];
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t row0 = unit % bands * kTile;
      int64_t rest = unit / bands, to = row0 * dst_row, from = row0;
      for (int d = inner - 1; d >= 0; --d) {
        if (d == other) continue;
        to += rest % loop.extent[d] * loop.stride[0][d];
        from += rest % loop.extent[d] * loop.stride[1][d];
        rest /= loop.extent[d];
      }
      const int64_t height = std::min(kTile, rows - row0);
      for (int64_t col = 0; col < cols; col += kTile) {
        const int64_t width = std::min(kTile, cols - col);
        const T* in = src + from + col * src_col;
        T* out = dst + to + col;
        if (height == kTile && width == kTile) {
          for (int64_t c = 0; c < kTile; ++c) {
            for (int64_t r = 0; r < kTile; ++r) tile[r][c] = in[c * src_col + r];
          }
          for (int64_t r = 0; r < kTile; ++r) std::copy_n(tile[r], kTile, out + r * dst_row);
        } else {
          for (int64_t r = 0; r < height; ++r) {
            for (int64_t c = 0; c < width; ++c) out[r * dst_row + c] = in[c * src_col + r];
          }
        }
      }
    }
  });
}

void copy_same_dtype(const StridedLoop<2>& loop, DType dtype, void* dst, const void* src) {
  int transposed = -1;
  for (int d = 0; d + 1 < loop.rank; ++d) {
    if (loop.stride[1][d] == 1 && loop.inner_stride(0) == 1) transposed = d;
  }
  dispatch_size(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if (transposed >= 0) {
      copy_transposed(loop, transposed, static_cast<T*>(dst), static_cast<const T*>(src));
    } else {
      copy_strided<T, T>(loop, dst, src);
    }
  });
}

}  // namespace

void fill(Cpu, AnyView x, double value) {
  const StridedLoop<1> loop = plan_loop<1>(x.shape, {&x.strides});
  dispatch_dtype(x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T element = convert<T>(value);
    T* const data = static_cast<T*>(x.data);
    const int64_t stride = loop.inner_stride(0);
    parallel_walk(loop, [=](const int64_t(&offset)[1], int64_t n) {
      T* out = data + offset[0];
      if (stride == 1) {
        std::fill_n(out, n, element);
      } else {
        for (int64_t i = 0; i < n; ++i) out[i * stride] = element;
      }
    });
  });
}

void copy(Cpu, AnyView dst, ConstAnyView src) {
  const int64_t count = dst.shape.product();
  if (count == 0) return;
  const bool same = dst.dtype == src.dtype;
  if (same && is_contiguous(dst.shape, dst.strides) && is_contiguous(src.shape, src.strides)) {
    const int64_t bytes = size_of(dst.dtype);
    parallel_for(count * bytes, kPointwiseGrain * 8, [&](int64_t begin, int64_t end) {
      std::memcpy(static_cast<char*>(dst.data) + begin, static_cast<const char*>(src.data) + begin,
                  static_cast<size_t>(end - begin));
    });
    return;
  }
  const StridedLoop<2> loop = plan_loop<2>(dst.shape, {&dst.strides, &src.strides});
  if (same) return copy_same_dtype(loop, dst.dtype, dst.data, src.data);
  dispatch_dtype(dst.dtype, [&](auto to) {
    dispatch_dtype(src.dtype, [&](auto from) {
      copy_strided<typename decltype(to)::type, typename decltype(from)::type>(loop, dst.data,
                                                                               src.data);
    });
  });
}

void add_scaled_inplace(Cpu, AnyView y, ConstAnyView x, double alpha) {
  const StridedLoop<2> loop = plan_loop<2>(y.shape, {&y.strides, &x.strides});
  dispatch_arithmetic("add_scaled_inplace", y.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* const to = static_cast<T*>(y.data);
    const T* const from = static_cast<const T*>(x.data);
    using A = Acc<T>;
    const A a = static_cast<A>(alpha);
    const int64_t to_stride = loop.inner_stride(0), from_stride = loop.inner_stride(1);
    parallel_walk(loop, [=](const int64_t(&offset)[2], int64_t n) {
      T* out = to + offset[0];
      const T* in = from + offset[1];
      if (to_stride == 1 && from_stride == 1) {
        if constexpr (is_half<T>) {
          each_vector<T>(n, [&](int64_t i, auto part) {
            part.store(out + i, part.load(out + i) + part.load(in + i) * a);
          });
        } else {
          for (int64_t i = 0; i < n; ++i) out[i] += a * in[i];
        }
      } else {
        for (int64_t i = 0; i < n; ++i) {
          T& element = out[i * to_stride];
          element = T(A{element} + a * A{in[i * from_stride]});
        }
      }
    });
  });
}

void scale_inplace(Cpu, AnyView y, double alpha) {
  const StridedLoop<1> loop = plan_loop<1>(y.shape, {&y.strides});
  dispatch_arithmetic("scale_inplace", y.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* const data = static_cast<T*>(y.data);
    const Acc<T> a = static_cast<Acc<T>>(alpha);
    const int64_t stride = loop.inner_stride(0);
    parallel_walk(loop, [=](const int64_t(&offset)[1], int64_t n) {
      T* out = data + offset[0];
      for (int64_t i = 0; i < n; ++i) out[i * stride] = T(Acc<T>{out[i * stride]} * a);
    });
  });
}

}  // namespace trireme::kernels
