// matmul on cuBLASLt, without a GPU: a mock computes what it is told on host memory.

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "kernels/cublas_matmul.h"
#include "tests/kernels/cublas_library.h"

namespace trireme::kernels {
namespace {

/// run_matmul on host memory.
struct HostEngine {
  CublasMatmul& library;
  std::vector<std::unique_ptr<std::byte[]>> blocks;
  int copies = 0;

  void* allocate(int64_t bytes) {
    blocks.push_back(std::make_unique<std::byte[]>(static_cast<size_t>(bytes)));
    return blocks.back().get();
  }
  void copy(AnyView to, ConstAnyView from) {
    ++copies;
    kernels::copy(Cpu{}, to, from);
  }
  void fill(AnyView to, double value) { kernels::fill(Cpu{}, to, value); }
  void multiply(const MatmulCall& call) { library.run(call, nullptr); }
  bool supports(const MatmulCall& call) { return library.supports(call); }
};

/// How a [batch.., rows, cols] operand lies in memory.
enum class Order { kRowMajor, kColumnMajor, kSpread, kPaddedRows, kRepeatedRow };
constexpr Order kOrders[] = {Order::kRowMajor, Order::kColumnMajor, Order::kSpread,
                             Order::kPaddedRows, Order::kRepeatedRow};

/// Strides of one matrix and how many elements it spans.
struct Layout {
  int64_t row, col, span;
};
Layout layout_of(Order order, int64_t rows, int64_t cols) {
  switch (order) {
    case Order::kRowMajor:
      return {cols, 1, rows * cols};
    case Order::kColumnMajor:
      return {1, rows, rows * cols};
    case Order::kSpread:
      return {3 * cols, 3, 3 * rows * cols};
    case Order::kPaddedRows:
      return {cols + 3, 1, rows * (cols + 3)};
    case Order::kRepeatedRow:
      return {0, 1, cols};
  }
  return {};
}

/// Each leading dimension of an operand is dense, or repeated.
Strides leading_strides(const Shape& leading, uint32_t repeated, int64_t span) {
  Strides strides = Strides::filled(leading.rank(), 0);
  for (int d = leading.rank() - 1; d >= 0; --d) {
    if (repeated >> d & 1) continue;
    strides[d] = span;
    span *= leading[d];
  }
  return strides;
}

template <typename T>
struct Operands {
  std::vector<T> storage;
  StridedView<T> view;
};
template <typename T>
Operands<T> operand(const Shape& leading, uint32_t repeated, Layout layout, int64_t rows,
                    int64_t cols, int64_t seed) {
  Operands<T> made;
  Shape shape = leading;
  Strides strides = leading_strides(leading, repeated, layout.span);
  int64_t count = layout.span;
  for (int d = 0; d < leading.rank(); ++d) count *= repeated >> d & 1 ? 1 : leading[d];
  shape.push_back(rows);
  shape.push_back(cols);
  strides.push_back(layout.row);
  strides.push_back(layout.col);
  made.storage = whole<T>(count + 4, seed);
  made.view = {made.storage.data(), shape, strides};
  return made;
}

struct Case {
  Shape leading;
  uint32_t repeats_a = 0, repeats_b = 0, sums = 0;  // bit d: stride 0 in leading dimension d
  int64_t m = 1, n = 1, k = 1;
  Order a = Order::kRowMajor, b = Order::kRowMajor;
  bool pads_c = false, has_bias = false;
  Write write = Write::kOverwrite;
};

template <typename T>
void plain_product(const StridedView<T>& a, const StridedView<T>& b, const StridedView<T>& c,
                   const std::vector<T>& before, const T* bias, Write write,
                   std::vector<double>& want) {
  const int rank = a.shape.rank() - 2;
  const int64_t m = a.shape[rank], k = a.shape[rank + 1], n = b.shape[rank + 1];
  std::vector<bool> begun(want.size(), false);
  int64_t matrices = 1;
  for (int d = 0; d < rank; ++d) matrices *= a.shape[d];
  for (int64_t index = 0; index < matrices; ++index) {
    int64_t at_a = 0, at_b = 0, at_c = 0, rest = index;
    for (int d = rank - 1; d >= 0; --d) {
      const int64_t position = rest % a.shape[d];
      rest /= a.shape[d];
      at_a += position * a.strides[d];
      at_b += position * b.strides[d];
      at_c += position * c.strides[d];
    }
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        const auto at = static_cast<size_t>(at_c + i * c.strides[rank] + j);
        if (!begun[at]) {
          want[at] = write == Write::kAccumulate ? double(before[at]) : bias ? double(bias[j]) : 0;
          begun[at] = true;
        }
        for (int64_t p = 0; p < k; ++p) {
          want[at] += double(a.data[at_a + i * a.strides[rank] + p * a.strides[rank + 1]]) *
                      double(b.data[at_b + p * b.strides[rank] + j * b.strides[rank + 1]]);
        }
      }
    }
  }
}

/// Runs the case through the mock and compares with plain loops, to the bit. Elements of c's
/// storage that are not part of c must stay.
template <typename T>
int check(Library& library, const Case& x) {
  const auto a = operand<T>(x.leading, x.repeats_a, layout_of(x.a, x.m, x.k), x.m, x.k, 1);
  const auto b = operand<T>(x.leading, x.repeats_b, layout_of(x.b, x.k, x.n), x.k, x.n, 2);
  auto c = operand<T>(x.leading, x.sums,
                      layout_of(x.pads_c ? Order::kPaddedRows : Order::kRowMajor, x.m, x.n), x.m,
                      x.n, 3);
  const std::vector<T> bias = whole<T>(x.n, 4), before = c.storage;
  std::vector<double> want(c.storage.begin(), c.storage.end());
  const T* shift = x.has_bias ? bias.data() : nullptr;
  plain_product(a.view, b.view, c.view, before, shift, x.write, want);
  HostEngine engine{*library.matmul, {}};
  run_matmul<T>(engine, a.view, b.view, c.view, shift, x.write);
  for (size_t i = 0; i < want.size(); ++i) {
    if (double(c.storage[i]) == want[i]) continue;
    ADD_FAILURE() << "element " << i << " is " << double(c.storage[i]) << ", want " << want[i]
                  << "; " << x.leading << " of [" << x.m << ", " << x.k << "] x [" << x.k << ", "
                  << x.n << "], layouts " << int(x.a) << " and " << int(x.b) << ", repeats "
                  << x.repeats_a << ", " << x.repeats_b << ", sums " << x.sums << ", bias "
                  << x.has_bias << ", accumulates " << (x.write == Write::kAccumulate);
    break;
  }
  return engine.copies;
}

struct Sizes {
  int64_t m, n, k;
};
constexpr Sizes kSizes[] = {{1, 1, 1}, {1, 4, 3}, {4, 1, 3}, {2, 3, 1}, {3, 2, 4}, {1, 5, 1}};

template <typename T>
void check_single(Library& library) {
  for (const auto& [m, n, k] : kSizes) {
    for (Order a : kOrders) {
      for (Order b : kOrders) {
        for (bool pads : {false, true}) {
          check<T>(library, {{}, 0, 0, 0, m, n, k, a, b, pads, false, Write::kOverwrite});
          check<T>(library, {{}, 0, 0, 0, m, n, k, a, b, pads, true, Write::kOverwrite});
          check<T>(library, {{}, 0, 0, 0, m, n, k, a, b, pads, false, Write::kAccumulate});
        }
      }
    }
  }
}

TEST(CublasMatmul, EqualsPlainLoopsForEveryLayoutSizeAndDtype) {
  Library library;
  check_single<double>(library);
  check_single<float>(library);
  check_single<BFloat16>(library);
  check_single<Float16>(library);
}

template <typename T>
void check_batches(Library& library) {
  for (const Shape& leading : {Shape{3}, Shape{1}, Shape{2, 3}, Shape{2, 1, 2}}) {
    const uint32_t all = 1u << leading.rank();
    for (const auto& [m, n, k] : {kSizes[1], kSizes[2], kSizes[3], kSizes[4]}) {
      for (Order a : {Order::kRowMajor, Order::kColumnMajor, Order::kSpread}) {
        for (Order b : {Order::kRowMajor, Order::kColumnMajor, Order::kPaddedRows}) {
          for (uint32_t mask = 0; mask < all; ++mask) {
            // One operand repeated where the bits are set; then the result summed there.
            check<T>(library, {leading, mask, 0, 0, m, n, k, a, b, false, true});
            check<T>(library, {leading, 0, mask, 0, m, n, k, a, b, true, false});
            check<T>(library, {leading, 0, 0, mask, m, n, k, a, b, false, false});
            check<T>(library,
                     {leading, 0, mask, mask, m, n, k, a, b, true, false, Write::kAccumulate});
          }
        }
      }
    }
  }
}

TEST(CublasMatmul, ABiasThatTheLibraryCannotAddIsAddedTo) {
  Library library;
  library.mock.state().has_bias = false;
  check_single<double>(library);
  check<double>(library, {{3}, 0, 0, 0, 4, 5, 6, Order::kRowMajor, Order::kRowMajor, true, true});
}

TEST(CublasMatmul, BatchesRepeatAndSumAsPlainLoopsDo) {
  Library library;
  check_batches<double>(library);
  check_batches<float>(library);
  check_batches<BFloat16>(library);
}

TEST(CublasMatmul, ReadsTransposedOperandsInPlaceAndFoldsABatchIntoRows) {
  Library library;
  for (Order a : {Order::kRowMajor, Order::kColumnMajor, Order::kPaddedRows}) {
    for (Order b : {Order::kRowMajor, Order::kColumnMajor, Order::kPaddedRows}) {
      EXPECT_EQ(check<float>(library, {{3}, 0, 0, 0, 4, 5, 6, a, b}), 0);
    }
  }
  EXPECT_EQ(check<float>(library, {{}, 0, 0, 0, 4, 5, 6, Order::kSpread, Order::kRepeatedRow}), 2);
  library.mock.state().guesses = 1;
  // [batch, time, in] x [in, out], and the sum over batch and time of its weight gradient.
  int products = library.mock.state().products;
  check<float>(library, {{7}, 0, 1, 0, 4, 5, 6});
  EXPECT_EQ(library.mock.state().products - products, 1);
  // A batch with one stride each is one call, whatever the operands repeat.
  products = library.mock.state().products;
  check<float>(library, {{2, 3}, 3, 0, 0, 4, 5, 6});
  EXPECT_EQ(library.mock.state().products - products, 1);
}

TEST(CublasMatmul, HalvesSumInFloatBeforeTheyAreRounded) {
  Library library;
  // 256 + 1 is not a bf16, but 256 + 1 + 1 is: rounding after each product would lose both ones.
  std::vector<BFloat16> a{BFloat16(256), BFloat16(0), BFloat16(1), BFloat16(0), BFloat16(1)};
  std::vector<BFloat16> b(6, BFloat16(1)), c(1, BFloat16(5));
  HostEngine engine{*library.matmul, {}};
  run_matmul<BFloat16>(engine, StridedView<const BFloat16>{a.data(), {3, 1, 1}, {2, 1, 1}},
                       StridedView<const BFloat16>{b.data(), {3, 1, 1}, {1, 1, 1}},
                       StridedView<BFloat16>{c.data(), {3, 1, 1}, {0, 1, 1}}, nullptr,
                       Write::kOverwrite);
  EXPECT_EQ(float(c[0]), 258);
}

TEST(CublasMatmul, EmptyInnerDimensionGivesZerosOrTheBias) {
  Library library;
  for (bool bias : {false, true}) {
    check<float>(library, {{2}, 0, 0, 0, 3, 4, 0, Order::kRowMajor, Order::kRowMajor, true, bias});
  }
  check<float>(library, {{2},
                         0,
                         0,
                         0,
                         3,
                         4,
                         0,
                         Order::kRowMajor,
                         Order::kRowMajor,
                         false,
                         false,
                         Write::kAccumulate});
  EXPECT_EQ(library.mock.state().products, 0);
}

}  // namespace
}  // namespace trireme::kernels
