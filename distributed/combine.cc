#include "distributed/combine.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <type_traits>

namespace trireme {
namespace {

// Elements are combined in blocks that stay in the L1 cache beside their sources' lines.
constexpr int64_t kBlockBytes = 4096;

// bool is combined as bytes: sum and max are "or", min is "and".
struct Or {
  uint8_t operator()(uint8_t a, uint8_t b) const { return a | b; }
};
struct And {
  uint8_t operator()(uint8_t a, uint8_t b) const { return a & b; }
};
template <typename T>
struct Sum {
  T operator()(T a, T b) const {
    if constexpr (std::is_integral_v<T>) {
      using U = std::make_unsigned_t<T>;
      return static_cast<T>(static_cast<U>(a) + static_cast<U>(b));
    } else {
      return a + b;
    }
  }
};
// A NaN on either side wins, so that it is not lost in a reduction.
template <typename T>
struct Max {
  T operator()(T a, T b) const { return (a > b || a != a) ? a : b; }
};
template <typename T>
struct Min {
  T operator()(T a, T b) const { return (a < b || a != a) ? a : b; }
};

template <typename T>
void divide(T* data, int64_t count, int divisor) {
  using A = Acc<T>;
  // The reciprocal of a power of two is exact, and a product is several times cheaper.
  if (std::has_single_bit(static_cast<unsigned>(divisor))) {
    const A factor = A{1} / static_cast<A>(divisor);
    for (int64_t i = 0; i < count; ++i) data[i] = T(A{data[i]} * factor);
  } else {
    for (int64_t i = 0; i < count; ++i) data[i] = T(A{data[i]} / static_cast<A>(divisor));
  }
}

template <typename T, typename Op>
void combine_as(std::span<const std::byte* const> sources, std::span<std::byte* const> destinations,
                int64_t count, const Op& op, int divisor) {
  // Halves are combined in f32 and rounded once.
  using A = Acc<T>;
  constexpr int64_t kBlock = kBlockBytes / static_cast<int64_t>(sizeof(A));
  alignas(64) A block[kBlock];
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    const int64_t n = std::min(kBlock, count - begin);
    const auto source = [&](size_t k) { return reinterpret_cast<const T*>(sources[k]) + begin; };
    const T* first = source(0);
    if (sources.size() == 1) {
      std::copy_n(first, n, block);
    } else {
      const T* second = source(1);
      for (int64_t i = 0; i < n; ++i) block[i] = op(A{first[i]}, A{second[i]});
    }
    for (size_t k = 2; k < sources.size(); ++k) {
      const T* other = source(k);
      for (int64_t i = 0; i < n; ++i) block[i] = op(block[i], A{other[i]});
    }
    if constexpr (std::is_floating_point_v<A>) {
      if (divisor > 1) divide(block, n, divisor);
    }
    const int64_t offset = begin * static_cast<int64_t>(sizeof(T));
    const int64_t bytes = n * static_cast<int64_t>(sizeof(T));
    const void* result = block;
    alignas(64) T rounded[is_half<T> ? kBlock : 1];
    if constexpr (is_half<T>) {
      for (int64_t i = 0; i < n; ++i) rounded[i] = T(block[i]);
      result = rounded;
    }
    for (std::byte* destination : destinations) std::memcpy(destination + offset, result, bytes);
  }
}

}  // namespace

void combine(std::span<const std::byte* const> sources, std::span<std::byte* const> destinations,
             int64_t count, DType dtype, ReduceOp op) {
  dispatch_dtype(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto run = [&]<typename U>(TypeTag<U>, const auto& fn, int divisor) {
      combine_as<U>(sources, destinations, count, fn, divisor);
    };
    if constexpr (std::is_same_v<T, bool>) {
      if (op == ReduceOp::kMin) return run(TypeTag<uint8_t>{}, And{}, 1);
      return run(TypeTag<uint8_t>{}, Or{}, 1);
    } else {
      switch (op) {
        case ReduceOp::kSum:
          return run(tag, Sum<Acc<T>>{}, 1);
        case ReduceOp::kAverage:
          return run(tag, Sum<Acc<T>>{}, static_cast<int>(sources.size()));
        case ReduceOp::kMax:
          return run(tag, Max<Acc<T>>{}, 1);
        case ReduceOp::kMin:
          return run(tag, Min<Acc<T>>{}, 1);
      }
    }
  });
}

void divide_inplace(void* data, int64_t count, DType dtype, int divisor) {
  dispatch_floating("average", dtype, [&](auto tag) {
    divide(static_cast<typename decltype(tag)::type*>(data), count, divisor);
  });
}

}  // namespace trireme
