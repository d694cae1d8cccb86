// Filling, copying, converting and adding strided memory.
//
// Dense operands: each thread moves 16 bytes of the widest operand per step (grid.h), x read once,
// y written once, so the speed is that of the memory. Where a pointer is not aligned for that, one
// element per step. Strided operands: one element per step, its offsets computed from its index by
// division; neighbouring threads take neighbouring elements of the operand that is written. A
// transposing copy goes through shared memory (cuda/transpose.cuh).

#include "kernels/arithmetic_dtypes.h"
#include "kernels/cuda/convert.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/strided.h"
#include "kernels/cuda/transpose.cuh"
#include "kernels/element_size.h"
#include "kernels/fill_copy.h"

namespace trireme::kernels {
namespace {

template <typename T>
struct FillBody {
  T* x;
  T value;
  template <int N>
  TRIREME_HD void run(int64_t i) const {
    Pack<T, N> pack;
    for (int k = 0; k < N; ++k) pack.v[k] = value;
    pack.store(x + i);
  }
};

template <typename T>
struct FillStridedBody {
  StridedIndex<1> index;
  T* x;
  T value;
  template <int>
  TRIREME_HD void run(int64_t i) const {
    x[index.at(i)[0]] = value;
  }
};

template <typename To, typename From>
struct CopyBody {
  To* dst;
  const From* src;
  template <int N>
  TRIREME_HD void run(int64_t i) const {
    const auto in = Pack<From, N>::load(src + i);
    Pack<To, N> out;
    for (int k = 0; k < N; ++k) out.v[k] = convert<To>(in.v[k]);
    out.store(dst + i);
  }
};

template <typename T>
struct CopyStridedBody {
  StridedIndex<2> index;
  T* dst;
  const T* src;
  template <int>
  TRIREME_HD void run(int64_t i) const {
    const auto offset = index.at(i);
    dst[offset[0]] = src[offset[1]];
  }
};

// Any dtype to any other: what is rare is one kernel, not one per pair.
struct ConvertBody {
  StridedIndex<2> index;
  void* dst;
  const void* src;
  DType to, from;
  template <int>
  TRIREME_HD void run(int64_t i) const {
    const auto offset = index.at(i);
    if (is_floating(from)) {
      store_as(to, dst, offset[0], load_float(from, src, offset[1]));
    } else {
      store_as(to, dst, offset[0], load_integer(from, src, offset[1]));
    }
  }
};

// y += alpha * x, computed in the accumulation type.
template <typename T>
struct AddScaledBody {
  T* y;
  const T* x;
  Acc<T> alpha;
  template <int N>
  TRIREME_HD void run(int64_t i) const {
    const auto in = Pack<T, N>::load(x + i);
    auto out = Pack<T, N>::load(y + i);
    for (int k = 0; k < N; ++k) out.v[k] = T(Acc<T>(out.v[k]) + alpha * Acc<T>(in.v[k]));
    out.store(y + i);
  }
};

template <typename T>
struct AddScaledStridedBody {
  StridedIndex<2> index;
  T* y;
  const T* x;
  Acc<T> alpha;
  template <int>
  TRIREME_HD void run(int64_t i) const {
    const auto offset = index.at(i);
    T& to = y[offset[0]];
    to = T(Acc<T>(to) + alpha * Acc<T>(x[offset[1]]));
  }
};

template <typename T>
struct ScaleBody {
  StridedIndex<1> index;
  T* y;
  Acc<T> alpha;
  template <int>
  TRIREME_HD void run(int64_t i) const {
    T& to = y[index.at(i)[0]];
    to = T(Acc<T>(to) * alpha);
  }
};

template <typename T>
struct ScaleDenseBody {
  T* y;
  Acc<T> alpha;
  template <int N>
  TRIREME_HD void run(int64_t i) const {
    auto out = Pack<T, N>::load(y + i);
    for (int k = 0; k < N; ++k) out.v[k] = T(Acc<T>(out.v[k]) * alpha);
    out.store(y + i);
  }
};

/// launch_packs<N> where all pointers are aligned for it, else one element at a time.
template <int N, typename Body>
void launch_dense(const char* op, Cuda device, int64_t count, bool is_aligned, const Body& body) {
  if (is_aligned) return launch_packs<N>(op, device, count, body);
  launch_packs<1>(op, device, count, body);
}

bool is_dense(const Shape& shape, const Strides& strides) { return is_contiguous(shape, strides); }

template <typename T>
void copy_same(Cuda device, const AnyView& dst, const ConstAnyView& src) {
  const StridedLoop<2> loop = plan_loop<2>(dst.shape, {&dst.strides, &src.strides});
  auto* const to = static_cast<T*>(dst.data);
  const auto* const from = static_cast<const T*>(src.data);
  if (loop.rank == 1 && loop.stride[0][0] == 1 && loop.stride[1][0] == 1) {
    return launch_dense<kPack<T>>("copy", device, loop.count,
                                  is_aligned(to, 16) && is_aligned(from, 16),
                                  CopyBody<T, T>{to, from});
  }
  if (copy_transposed("copy", device, loop, to, from)) return;
  launch_packs<1>("copy", device, loop.count, CopyStridedBody<T>{StridedIndex<2>(loop), to, from});
}

// Between floating-point types, what mixed precision does all the time: in packs where dense.
template <typename To, typename From>
void convert_dense(Cuda device, int64_t count, void* dst, const void* src) {
  auto* const to = static_cast<To*>(dst);
  const auto* const from = static_cast<const From*>(src);
  constexpr int kN = kPack<To> < kPack<From> ? kPack<To> : kPack<From>;
  const bool aligned = is_aligned(to, kN * sizeof(To)) && is_aligned(from, kN * sizeof(From));
  launch_dense<kN>("copy", device, count, aligned, CopyBody<To, From>{to, from});
}

}  // namespace

void fill(Cuda device, AnyView x, double value) {
  if (x.shape.product() == 0) return;
  dispatch_dtype(x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    auto* const data = static_cast<T*>(x.data);
    const T element = convert<T>(value);
    if (is_dense(x.shape, x.strides)) {
      return launch_dense<kPack<T>>("fill", device, x.shape.product(), is_aligned(data, 16),
                                    FillBody<T>{data, element});
    }
    const StridedLoop<1> loop = plan_loop<1>(x.shape, {&x.strides});
    launch_packs<1>("fill", device, loop.count,
                    FillStridedBody<T>{StridedIndex<1>(loop), data, element});
  });
}

void copy(Cuda device, AnyView dst, ConstAnyView src) {
  if (dst.shape.product() == 0) return;
  if (dst.dtype == src.dtype) {
    return dispatch_size(
        dst.dtype, [&](auto tag) { copy_same<typename decltype(tag)::type>(device, dst, src); });
  }
  if (is_dense(dst.shape, dst.strides) && is_dense(src.shape, src.strides)) {
    const int64_t count = dst.shape.product();
    const bool done = dispatch_fast_pair(dst.dtype, src.dtype, [&](auto to, auto from) {
      convert_dense<typename decltype(to)::type, typename decltype(from)::type>(device, count,
                                                                                dst.data, src.data);
    });
    if (done) return;
  }
  const StridedLoop<2> loop = plan_loop<2>(dst.shape, {&dst.strides, &src.strides});
  launch_packs<1>("copy", device, loop.count,
                  ConvertBody{StridedIndex<2>(loop), dst.data, src.data, dst.dtype, src.dtype});
}

void add_scaled_inplace(Cuda device, AnyView y, ConstAnyView x, double alpha) {
  if (y.shape.product() == 0) return;
  dispatch_scalable("add_scaled_inplace", y.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    auto* const to = static_cast<T*>(y.data);
    const auto* const from = static_cast<const T*>(x.data);
    const auto a = static_cast<Acc<T>>(alpha);
    if (is_dense(y.shape, y.strides) && is_dense(x.shape, x.strides)) {
      return launch_dense<kPack<T>>("add_scaled_inplace", device, y.shape.product(),
                                    is_aligned(to, 16) && is_aligned(from, 16),
                                    AddScaledBody<T>{to, from, a});
    }
    const StridedLoop<2> loop = plan_loop<2>(y.shape, {&y.strides, &x.strides});
    launch_packs<1>("add_scaled_inplace", device, loop.count,
                    AddScaledStridedBody<T>{StridedIndex<2>(loop), to, from, a});
  });
}

void scale_inplace(Cuda device, AnyView y, double alpha) {
  if (y.shape.product() == 0) return;
  dispatch_scalable("scale_inplace", y.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    auto* const data = static_cast<T*>(y.data);
    const auto a = static_cast<Acc<T>>(alpha);
    if (is_dense(y.shape, y.strides)) {
      return launch_dense<kPack<T>>("scale_inplace", device, y.shape.product(),
                                    is_aligned(data, 16), ScaleDenseBody<T>{data, a});
    }
    const StridedLoop<1> loop = plan_loop<1>(y.shape, {&y.strides});
    launch_packs<1>("scale_inplace", device, loop.count,
                    ScaleBody<T>{StridedIndex<1>(loop), data, a});
  });
}

}  // namespace trireme::kernels
