// What the tests of row bodies share: every floating type with its tolerance, drawn values, and
// lengths and starts of rows.

#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "core/base/half.h"
#include "core/base/philox.h"
#include "kernels/view.h"

namespace trireme::kernels {

template <typename T>
class DeviceRows : public ::testing::Test {
 public:
  static double tolerance() {
    if (std::is_same_v<T, double>) return 1e-12;
    if (std::is_same_v<T, float>) return 2e-6;
    return std::is_same_v<T, BFloat16> ? 0.01 : 0.002;
  }
  static std::vector<T> draw(int64_t count, uint64_t seed) {
    Generator generator(seed);
    std::vector<T> values(static_cast<size_t>(count));
    for (T& v : values) v = T(2 * generator.next_normal());
    return values;
  }
  template <typename V>
  static void expect_near(const std::vector<V>& got, const std::vector<V>& want,
                          double factor = 1) {
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < got.size(); ++i) {
      const auto g = static_cast<double>(static_cast<Acc<V>>(got[i]));
      const auto w = static_cast<double>(static_cast<Acc<V>>(want[i]));
      ASSERT_NEAR(g, w, factor * tolerance() * std::max(1.0, std::fabs(w))) << "element " << i;
    }
  }
  /// Calls fn(cols, offset, members): lengths below, at and above a pack, and starts of any
  /// residue.
  template <typename Fn>
  static void each_setting(const Fn& fn) {
    for (int64_t cols : {1, 3, 8, 31, 64, 203}) {
      for (int64_t offset : {0, 1, 5}) {
        for (int members : {1, 3}) {
          SCOPED_TRACE(::testing::Message()
                       << "cols " << cols << ", offset " << offset << ", members " << members);
          fn(cols, offset, members);
          if (::testing::Test::HasFatalFailure()) return;
        }
      }
    }
  }
};

using Floating = ::testing::Types<double, float, BFloat16, Float16>;

inline constexpr int64_t kRows = 3;

/// A matrix inside `data` that starts at `offset` and whose rows lie cols + 1 apart.
template <typename T>
MatrixView<T> shifted(std::vector<T>& data, int64_t offset, int64_t cols) {
  return {data.data() + offset, kRows, cols, cols + 1};
}
inline constexpr int64_t room(int64_t cols) { return 5 + kRows * (cols + 1); }

}  // namespace trireme::kernels
