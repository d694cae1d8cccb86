// The index arithmetic of the CUDA kernels, on the host: every element is visited once, whatever
// the shape.

#include <array>

#include "kernels/cuda/chunk_table.h"
#include "kernels/cuda/column_geometry.h"
#include "kernels/cuda/row_geometry.h"
#include "kernels/cuda/strided.h"
#include "tests/kernels/device_harness.h"

namespace trireme::kernels {
namespace {

using namespace testing;

TEST(FastDivisor, IsExact) {
  std::vector<uint32_t> values{0, 1, 2, 3, 5, 7, 63, 64, 65, 640, 641, 65535, 65536, 0x7FFFFFFF};
  Generator generator(1);
  for (int i = 0; i < 300; ++i) {
    values.push_back(static_cast<uint32_t>(generator.next_u64() >> (33 + i % 31)));
  }
  for (uint32_t d : values) {
    if (d == 0) continue;
    const FastDivisor divisor(d);
    for (uint32_t n : values) ASSERT_EQ(divisor.quotient(n), n / d) << n << " / " << d;
    for (uint64_t n = d; n < 0x7FFFFFFF; n *= 3) {  // both sides of multiples
      const auto m = static_cast<uint32_t>(n / d * d);
      ASSERT_EQ(divisor.quotient(m), m / d);
      ASSERT_EQ(divisor.quotient(m - 1), (m - 1) / d);
    }
  }
}

TEST(StridedIndex, VisitsWhatTheCpuLoopVisits) {
  for (const Layout& a : layouts()) {
    const Strides y = contiguous_strides(a.shape);
    const auto loop = plan_loop<2>(a.shape, {&y, &a.strides});
    std::vector<std::array<int64_t, 2>> want, got;
    walk(loop, 0, loop.count, [&](const int64_t(&offset)[2], int64_t n) {
      for (int64_t i = 0; i < n; ++i) {
        want.push_back(
            {offset[0] + i * loop.inner_stride(0), offset[1] + i * loop.inner_stride(1)});
      }
    });
    const StridedIndex<2> index(loop);
    for (int64_t i = 0; i < loop.count; ++i) got.push_back({index.at(i)[0], index.at(i)[1]});
    EXPECT_EQ(got, want) << a.shape << a.strides;
    std::vector<int64_t> places;  // each element of the dense result once
    for (const auto& offsets : got) places.push_back(offsets[0]);
    std::sort(places.begin(), places.end());
    for (size_t i = 0; i < places.size(); ++i) EXPECT_EQ(places[i], static_cast<int64_t>(i));
  }
}

TEST(StridedIndex, GoesBeyondTwoToThe31) {
  const Shape shape{1 << 17, 1 << 16};
  const Strides strides{1, 1 << 17}, y{1 << 16, 1};
  const StridedIndex<2> index(plan_loop<2>(shape, {&y, &strides}));
  const int64_t i = (int64_t{100003} << 16) + 54321;
  EXPECT_EQ(index.at(i)[0], i);
  EXPECT_EQ(index.at(i)[1], 100003 + (int64_t{54321} << 17));
}

struct Counted {
  int64_t count;
  int id;
};

TEST(ChunkTable, CoversEverySpanOnceInAnyNumberOfLaunches) {
  constexpr int kMost = 4;
  std::vector<Counted> spans;
  const std::vector<int64_t> counts{0, 1, kChunk - 1, kChunk, kChunk + 1, 0, 5 * kChunk + 3, 2, 9};
  for (int64_t count : counts) spans.push_back({count, static_cast<int>(spans.size())});
  std::vector<std::vector<int>> seen;
  for (int64_t count : counts) seen.emplace_back(static_cast<size_t>(count));
  std::span<const Counted> rest(spans);
  int launches = 0;
  ChunkTable<Counted, kMost> table;
  while (!rest.empty()) {
    rest = fill_table(rest, table);
    ++launches;
    for (int32_t number = 0; number < table.chunks(); ++number) {
      const auto chunk = table.chunk(number);
      ASSERT_LT(chunk.begin, chunk.end);
      auto& elements = seen[static_cast<size_t>(table.span[chunk.span].id)];
      for (int64_t i = chunk.begin; i < chunk.end; ++i) ++elements[static_cast<size_t>(i)];
    }
  }
  EXPECT_EQ(launches, 2);
  for (const auto& elements : seen) {
    EXPECT_EQ(std::count(elements.begin(), elements.end(), 1),
              static_cast<int64_t>(elements.size()));
  }
}

TEST(RadixSort, IsStableAndPutsIdsOutsideTheTableLast) {
  constexpr int64_t kBound = 70000;  // three digits
  const SortGeometry g = sort_geometry(3 * kTileKeys + 17, kBound);
  EXPECT_EQ(g.passes, 3);
  EXPECT_EQ(sort_geometry(10, 255).passes, 1);
  EXPECT_EQ(sort_geometry(10, 256).passes, 2);
  Generator generator(3);
  std::vector<uint32_t> keys, positions;
  for (int64_t i = 0; i < g.count; ++i) {
    int64_t id = generator.next_u64() % 2 ? static_cast<int64_t>(generator.next_u64() % 5)
                                          : static_cast<int64_t>(generator.next_u64() % kBound);
    if (i % 100 == 0) id = i % 200 ? -3 : kBound + 5;
    keys.push_back(key_of(id, kBound));
    positions.push_back(static_cast<uint32_t>(i));
  }
  std::vector<std::pair<uint32_t, uint32_t>> want, got;
  for (size_t i = 0; i < keys.size(); ++i) want.emplace_back(keys[i], positions[i]);
  std::sort(want.begin(), want.end());
  sort_on_host(keys, positions, g);
  for (size_t i = 0; i < keys.size(); ++i) got.emplace_back(keys[i], positions[i]);
  EXPECT_EQ(got, want);
  EXPECT_EQ(keys.back(), static_cast<uint32_t>(kBound));
}

TEST(Geometry, RowsGetPowersOfTwoThreadsAndEveryRowAGroup) {
  EXPECT_EQ(threads_per_row(1, 4), 32);
  EXPECT_EQ(threads_per_row(128, 4), 32);
  EXPECT_EQ(threads_per_row(129, 4), 64);
  EXPECT_EQ(threads_per_row(1 << 20, 4), 256);
  EXPECT_EQ(row_geometry(9, 32, 132).blocks, 2);  // eight warps a block
  EXPECT_EQ(row_geometry(9, 128, 132).blocks, 9);
  EXPECT_EQ(row_geometry(9, 128, 132).threads, 128);
  EXPECT_LE(row_geometry(int64_t{1} << 40, 32, 132).blocks, 1 << 20);
}

TEST(Geometry, ColumnChunksCoverEveryRowOnce) {
  for (int64_t rows : {0, 1, 127, 128, 1000, 65536}) {
    for (int64_t cols : {1, 255, 768, 50304}) {
      const ColumnGeometry g = column_geometry(rows, cols, 8, 132);
      int64_t covered = 0;
      for (int64_t chunk = 0; chunk < g.chunks; ++chunk) {
        EXPECT_EQ(g.row_begin(chunk), covered);
        covered = std::max(covered, g.row_end(chunk));
      }
      EXPECT_EQ(covered, rows) << rows << " x " << cols;
      EXPECT_GE(g.column_blocks * kColumnLanes * 8, cols);
    }
  }
}

}  // namespace
}  // namespace trireme::kernels
