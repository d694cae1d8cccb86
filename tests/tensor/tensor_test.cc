#include "core/tensor/tensor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <sstream>
#include <thread>

#include "core/base/sanitizer.h"
#include "core/tensor/allocator.h"
#include "core/tensor/copy.h"
#include "core/tensor/create.h"
#include "core/tensor/view.h"
#include "tests/support/message_of.h"

namespace trireme {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = kAddressSanitizer;
#endif

Tensor counting(const Shape& shape) { return views::reshape(arange(shape.product()), shape); }

TEST(Tensor, KnowsItsExtents) {
  const Tensor x = zeros({2, 3}, {DType::kF64});
  EXPECT_EQ(x.shape(), Shape({2, 3}));
  EXPECT_EQ(x.strides(), Strides({3, 1}));
  EXPECT_EQ(x.size(-1), 3);
  EXPECT_EQ(x.numel(), 6);
  EXPECT_EQ(x.nbytes(), 48);
  EXPECT_THROW(x.size(2), InvalidArgument);
}

TEST(Tensor, RefusesTheWrongElementType) {
  try {
    zeros({1}).data<double>();
    FAIL();
  } catch (const InvalidArgument& error) {
    EXPECT_THAT(error.what(), HasSubstr("tensor is f32 but was read as f64"));
  }
}

TEST(Tensor, PrintsItselfAndShortensLongDimensions) {
  std::ostringstream out;
  out << counting({2, 2}) << '\n' << arange(20);
  EXPECT_EQ(out.str(),
            "Tensor i64[2, 2] {{0, 1}, {2, 3}}\n"
            "Tensor i64[20] {0, 1, 2, ..., 17, 18, 19}");
}

TEST(View, TransposeAndSliceShareMemory) {
  const Tensor x = counting({2, 3});
  const Tensor t = views::transpose(x, 0, 1);
  EXPECT_THAT(t.to_vector<int64_t>(), ElementsAre(0, 3, 1, 4, 2, 5));
  const Tensor s = views::slice(t, 0, 1, 3);
  EXPECT_THAT(s.to_vector<int64_t>(), ElementsAre(1, 4, 2, 5));
  fill_inplace(s, 9);
  EXPECT_THAT(x.to_vector<int64_t>(), ElementsAre(0, 9, 9, 3, 9, 9));
  EXPECT_EQ(x.version(), 1u);
  EXPECT_EQ(t.version(), 1u);
}

TEST(View, ReshapeCopiesOnlyWhereItMust) {
  const Tensor x = counting({2, 3, 4});
  EXPECT_EQ(views::reshape(x, {6, -1}).data<int64_t>(), x.data<int64_t>());
  const Tensor t = views::transpose(x, 0, 1);  // [3, 2, 4]
  EXPECT_EQ(views::reshape(t, {3, 2, 2, 2}).data<int64_t>(), x.data<int64_t>());
  const Tensor flat = views::reshape(t, {24});
  EXPECT_NE(flat.data<int64_t>(), x.data<int64_t>());
  EXPECT_EQ(flat.to_vector<int64_t>(), t.to_vector<int64_t>());
  EXPECT_THROW(views::reshape(x, {5, -1}), InvalidArgument);
  EXPECT_EQ(views::reshape(zeros({0, 3}), {3, 0}).numel(), 0);
}

TEST(View, ExpandRepeatsWithoutCopying) {
  const Tensor x = counting({3, 1});
  const Tensor e = views::expand(x, {2, 3, 2});
  EXPECT_THAT(e.to_vector<int64_t>(), ElementsAre(0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2));
  EXPECT_THROW(views::expand(x, {2, 2}), InvalidArgument);
}

TEST(View, RefusesExtentsThatCannotBe) {
  const Tensor x = ones({6});
  EXPECT_THROW(views::reshape(ones({1}), {-1, -1}), InvalidArgument);
  EXPECT_THROW(views::reshape(x, {-2, -3}), InvalidArgument);
  EXPECT_THROW(views::reshape(x, {-1, 4}), InvalidArgument);
  EXPECT_THROW(views::reshape(zeros({0, 3}), {-1, 0}), InvalidArgument);
  EXPECT_EQ(views::reshape(zeros({0, 3}), {-1, 3}).shape(), (Shape{0, 3}));
  EXPECT_EQ(views::expand(ones({1, 4}), {3, -1}).shape(), (Shape{3, 4}));
  EXPECT_EQ(views::expand(ones({4}), {2, -1}).shape(), (Shape{2, 4}));
  EXPECT_THROW(views::expand(ones({4}), {-1, 4}), InvalidArgument);
  EXPECT_THROW(views::expand(ones({1}), {-2}), InvalidArgument);
  EXPECT_THROW(zeros({int64_t{1} << 62}), InvalidArgument);
  EXPECT_THROW(zeros({int64_t{1} << 32, int64_t{1} << 32}), InvalidArgument);
  EXPECT_THROW(views::as_strided(x, {2}, {-1}, 1), InvalidArgument);
  EXPECT_THROW(views::as_strided(x, {3}, {int64_t{1} << 62}, 0), InvalidArgument);
}

TEST(View, AsStridedStaysInsideItsStorage) {
  const Tensor x = counting({6});
  EXPECT_THAT(views::as_strided(x, {2, 2}, {3, 1}, 1).to_vector<int64_t>(),
              ElementsAre(1, 2, 4, 5));
  EXPECT_THROW(views::as_strided(x, {2, 3}, {4, 1}, 0), InvalidArgument);
}

TEST(Copy, ConvertsAndBroadcasts) {
  const Tensor x = from_vector<float>({1.9f, -1.9f, 0.0f}, {3});
  EXPECT_THAT(cast(x, DType::kI32).to_vector<int32_t>(), ElementsAre(1, -1, 0));
  EXPECT_THAT(cast(x, DType::kBool).to_vector<bool>(), ElementsAre(true, true, false));
  const Tensor y = zeros({2, 3}, {DType::kF64});
  copy_inplace(y, x);
  EXPECT_EQ(y.to_vector<float>(), (std::vector<float>{1.9f, -1.9f, 0, 1.9f, -1.9f, 0}));
}

TEST(Create, RandomNumbersDependOnSeedAndPositionOnly) {
  Generator a(7), b(7);
  const Tensor once = randn({1000}, a);
  const Tensor first = randn({400}, b), second = randn({600}, b);
  std::vector<float> joined = first.to_vector<float>();
  for (float v : second.to_vector<float>()) joined.push_back(v);
  EXPECT_EQ(once.to_vector<float>(), joined);
  double mean = 0, square = 0;
  for (float v : joined) mean += v / 1000, square += v * v / 1000;
  EXPECT_NEAR(mean, 0, 0.1);
  EXPECT_NEAR(square, 1, 0.15);
}

TEST(Allocator, CountsByKindAndReusesBlocks) {
  const MemoryStats before = memory_stats();
  void* block = nullptr;
  {
    MemoryKindGuard kind(MemoryKind::kOptimizer);
    const Tensor x = empty({1 << 20});
    block = x.raw_data();
    const MemoryStats during = memory_stats();
    const int k = static_cast<int>(MemoryKind::kOptimizer);
    EXPECT_EQ(during.allocated_bytes[k] - before.allocated_bytes[k], 4 << 20);
    EXPECT_GE(during.peak_allocated_bytes, during.total_allocated_bytes);
  }
  EXPECT_EQ(memory_stats().total_allocated_bytes, before.total_allocated_bytes);
  if (kAddressSanitizer) GTEST_SKIP() << "nothing is kept under AddressSanitizer";
  EXPECT_GE(memory_stats().reserved_bytes, before.reserved_bytes + (4 << 20));
  EXPECT_EQ(empty({1 << 20}).raw_data(), block) << "a freed block is given out again";
  release_cached_memory();
  EXPECT_LT(memory_stats().reserved_bytes, before.reserved_bytes + (4 << 20));
}

TEST(Allocator, SaysWhatIsInUseWhereMemoryIsShort) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer ends the process";
  const MemoryKindGuard kind(MemoryKind::kOptimizer);
  const int64_t before = memory_stats().allocated_bytes[size_t(MemoryKind::kOptimizer)];
  void* const block = cpu_allocate(5 << 20);
  try {
    cpu_allocate(size_t{1} << 50);
    FAIL() << "nothing was thrown";
  } catch (const OutOfMemory& error) {
    EXPECT_THAT(error.what(),
                AllOf(HasSubstr("out of memory on cpu, asked for 1125899906842624 bytes"),
                      HasSubstr(concat("optimizer ", (before >> 20) + 5)), HasSubstr(", held "),
                      HasSubstr("use a smaller batch")));
  }
  cpu_free(block);
}

TEST(Allocator, CountsATensorUnderNoGuardAsAnActivation) {
  const auto in_use = [](MemoryKind kind) {
    return memory_stats().allocated_bytes[static_cast<size_t>(kind)];
  };
  const int64_t activations = in_use(MemoryKind::kActivations), other = in_use(MemoryKind::kOther);
  const Tensor x = empty({1 << 20});
  const int64_t with_tensor = in_use(MemoryKind::kActivations);
  EXPECT_GE(with_tensor - activations, 4 << 20);
  EXPECT_EQ(in_use(MemoryKind::kOther), other);
  void* const block = cpu_allocate(1 << 20);
  EXPECT_EQ(in_use(MemoryKind::kActivations), with_tensor);
  EXPECT_GE(in_use(MemoryKind::kOther) - other, 1 << 20);
  cpu_free(block);
}

TEST(Allocator, KeepsNoMoreThanWasEverInUse) {
  reset_peak_memory();
  const int64_t before = memory_stats().total_allocated_bytes;
  int64_t bytes = 64 << 10;
  for (; bytes < 64 << 20; bytes += bytes / 2) empty({bytes}, {DType::kU8});
  // One tensor lived at a time; what is kept of the others is at most as much again.
  EXPECT_LE(memory_stats().reserved_bytes,
            2 * memory_stats().peak_allocated_bytes + before + bytes);
  release_cached_memory();
}

TEST(Allocator, BlocksMayBeFreedByAnotherThread) {
  const MemoryStats before = memory_stats();
  for (int round = 0; round < 50; ++round) {
    std::vector<Tensor> tensors;
    for (int i = 0; i < 100; ++i) tensors.push_back(full({i + 1}, i));
    std::thread([moved = std::move(tensors)]() mutable { moved.clear(); }).join();
  }
  // Such threads never ask for memory themselves, and still leave nothing behind.
  EXPECT_EQ(memory_stats().total_allocated_bytes, before.total_allocated_bytes);
  EXPECT_LE(memory_stats().reserved_bytes, before.reserved_bytes + (64 << 10));
}

TEST(Allocator, AlignsEveryBlock) {
  for (int64_t count : {1, 3, 17, 100, 513, 5000, 1 << 20}) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(empty({count}).raw_data()) % 64, 0u) << count;
  }
}

TEST(UndefinedTensor, IsNamedNotRead) {
  const auto refuses = [](const char* op, const std::function<void()>& call) {
    EXPECT_EQ(testing::message_of(call), std::string(op) + ": tensor is undefined");
  };
  const Tensor none;
  refuses("to_vector", [&] { none.to_vector<float>(); });
  refuses("grad", [&] { none.grad(); });
  refuses("zero_grad", [&] { Tensor(none).zero_grad(); });
  refuses("detach", [&] { none.detach(); });
  refuses("cast", [&] { cast(none, DType::kF32); });
  refuses("to_contiguous", [&] { to_contiguous(none); });
  refuses("clone_detached", [&] { clone_detached(none); });
  refuses("empty_like", [&] { empty_like(none); });
  refuses("zeros_like", [&] { zeros_like(none); });
  refuses("ones_like", [&] { ones_like(none); });
  // What everybody meets once: a gradient before backward.
  Tensor w = ones({2});
  w.set_requires_grad();
  refuses("to_vector", [&] { w.grad().to_vector<float>(); });
}

TEST(Full, GivesIntegersWholeNumbersThatFit) {
  const auto said = [](double value, DType dtype) {
    return testing::message_of([&] { full({2}, value, {dtype}); });
  };
  EXPECT_EQ(said(0.5, DType::kI64), "full: i64 elements need a whole number that fits, got 0.5");
  for (double value : {256.0, -1.0, double(NAN), 0.5}) {
    EXPECT_NE(said(value, DType::kU8), "nothing was thrown") << value;
  }
  EXPECT_NE(said(2, DType::kBool), "nothing was thrown");
  EXPECT_NE(said(0x1p31, DType::kI32), "nothing was thrown");
  EXPECT_NE(said(INFINITY, DType::kI64), "nothing was thrown");
  const Tensor bytes = full({1}, 255, {DType::kU8});
  EXPECT_EQ(testing::message_of([&] { fill_inplace(bytes, 256); }),
            "fill_inplace: u8 elements need a whole number that fits, got 256");
  EXPECT_EQ(bytes.item(), 255);
  EXPECT_EQ(full({1}, -0x1p31, {DType::kI32}).item(), -0x1p31);
  EXPECT_EQ(full({1}, -0x1p63, {DType::kI64}).item(), -0x1p63);
  EXPECT_EQ(full({1}, 1, {DType::kBool}).item(), 1);
  EXPECT_EQ(full({1}, 0.5, {DType::kBF16}).item(), 0.5);
}

}  // namespace
}  // namespace trireme
