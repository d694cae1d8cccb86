// What the compiler must get right in the form in which this build uses it.

#include <gtest/gtest.h>

#include <array>
#include <cstdint>

namespace trireme {
namespace {

/// As core/ops/convolutions.h has it: equal numbers, then zeros.
struct Options {
  std::array<int64_t, 2> stride{1, 1};
  std::array<int64_t, 2> padding{0, 0};
  std::array<int64_t, 2> dilation{1, 1};
  int64_t groups = 1;
};

Options received;
[[gnu::noinline]] void receive(Options options) { received = options; }

// g++ 12 copies 32 bytes at a time on AVX-512 and takes 1, 1, 0, 0 for four times 1
// (TRIREME_COPY_FLAGS in cmake/targets.cmake).
TEST(CopiedOptions, KeepTheirZeros) {
  receive({});
  EXPECT_EQ(received.stride, (std::array<int64_t, 2>{1, 1}));
  EXPECT_EQ(received.padding, (std::array<int64_t, 2>{0, 0}));
  receive({.stride = {2, 2}});
  EXPECT_EQ(received.stride, (std::array<int64_t, 2>{2, 2}));
  EXPECT_EQ(received.padding, (std::array<int64_t, 2>{0, 0}));
  receive({.dilation = {7, 9}});
  EXPECT_EQ(received.padding, (std::array<int64_t, 2>{0, 0}));
  EXPECT_EQ(received.dilation, (std::array<int64_t, 2>{7, 9}));
  EXPECT_EQ(received.groups, 1);
}

}  // namespace
}  // namespace trireme
