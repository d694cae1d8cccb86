// What the tests of the CUDA kernels' bodies share: operands, comparison, and launches run on the
// host.

#pragma once

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/philox.h"
#include "kernels/cuda/grid.h"
#include "kernels/cuda/radix_sort.h"
#include "kernels/strided_loop.h"

namespace trireme::kernels::testing {

/// Standard normal elements.
template <typename T>
std::vector<T> draw(int64_t count, uint64_t seed) {
  Generator generator(seed);
  std::vector<T> values(static_cast<size_t>(count));
  for (T& v : values) v = T(generator.next_normal());
  return values;
}

template <typename T>
void expect_near(const std::vector<T>& got, const std::vector<T>& want, double tolerance) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    const auto g = static_cast<double>(Acc<T>(got[i])), w = static_cast<double>(Acc<T>(want[i]));
    ASSERT_NEAR(g, w, tolerance * std::max(1.0, std::fabs(w))) << "element " << i;
  }
}

/// What one operation in T may differ by.
template <typename T>
double rounding() {
  if (std::is_same_v<T, double>) return 1e-14;
  if (std::is_same_v<T, float>) return 1e-6;
  return std::is_same_v<T, BFloat16> ? 8e-3 : 1e-3;
}

/// All threads of a launch, in turn.
template <int N, typename Body>
void run_launch(int64_t count, const Body& body) {
  constexpr int64_t kThreads = 7;
  for (int64_t thread = 0; thread < kThreads; ++thread)
    run_thread<N>(thread, kThreads, count, body);
}

struct Layout {
  Shape shape;
  Strides strides;
};
/// Dense, transposed, broadcast along each dimension, and gaps.
inline std::vector<Layout> layouts() {
  return {{{2, 3, 8}, {24, 8, 1}},
          {{2, 3, 8}, {1, 16, 2}},
          {{2, 3, 8}, {0, 8, 1}},
          {{2, 3, 8}, {24, 0, 1}},
          {{2, 3, 8}, {24, 8, 0}},
          {{2, 3, 8}, {100, 32, 4}},
          {{48}, {1}},
          {{1, 1}, {0, 0}},
          {{5, 1, 7}, {7, 3, 1}},
          {{2, 2, 2, 2}, {1, 2, 4, 8}},
          {{3, 0, 2}, {0, 2, 1}}};
}

/// The whole sort of sort_ids, serially.
inline void sort_on_host(std::vector<uint32_t>& keys, std::vector<uint32_t>& positions,
                         const SortGeometry& g) {
  std::vector<uint32_t> to_keys(keys.size()), to_positions(keys.size());
  for (int pass = 0; pass < g.passes; ++pass) {
    std::vector<uint32_t> counts(static_cast<size_t>(kDigits * g.tiles));
    for (int64_t i = 0; i < g.count; ++i) {
      const int digit = digit_of(keys[static_cast<size_t>(i)], pass);
      ++counts[static_cast<size_t>(count_index(digit, i / kTileKeys, g.tiles))];
    }
    std::exclusive_scan(counts.begin(), counts.end(), counts.begin(), 0u);
    for (int64_t tile = 0; tile < g.tiles; ++tile) {
      std::vector<uint32_t> next(kDigits);
      for (int d = 0; d < kDigits; ++d) {
        next[static_cast<size_t>(d)] = counts[static_cast<size_t>(count_index(d, tile, g.tiles))];
      }
      move_tile(SerialLanes{}, g, pass, tile, keys.data(), positions.data(), next.data(),
                to_keys.data(), to_positions.data());
    }
    keys.swap(to_keys);
    positions.swap(to_positions);
  }
}

}  // namespace trireme::kernels::testing
