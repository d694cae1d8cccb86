// The element bodies and the index arithmetic of the CUDA kernels, run on the host thread by
// thread: against the CPU kernels, and that every element is visited once.

#include "kernels/cuda/chunk_table.h"
#include "kernels/cuda/embedding_body.h"
#include "kernels/cuda/max_body.h"
#include "kernels/cuda/pointwise_body.h"
#include "kernels/cuda/random_body.h"
#include "kernels/cuda/reduce_body.h"
#include "kernels/dropout.h"
#include "kernels/embedding.h"
#include "kernels/pointwise.h"
#include "kernels/random.h"
#include "tests/kernels/device_harness.h"
#include "tests/kernels/thread_group.h"

namespace trireme::kernels {
namespace {

using namespace testing;

template <typename T>
class DeviceBodies : public ::testing::Test {};
using Floating = ::testing::Types<double, float, BFloat16, Float16>;
TYPED_TEST_SUITE(DeviceBodies, Floating);

template <typename T, typename Fn>
void check_dense(const Fn& fn, bool positive) {
  constexpr int kN = std::is_same_v<Fn, Add> || std::is_same_v<Fn, GradOf<GeluErf>> ? 2 : 1;
  for (int64_t count : {0, 1, 7, 8, 100}) {
    for (size_t start : {0, 1}) {  // starts between packs: one element at a time
      std::vector<T> in[2] = {draw<T>(count + 1, 1), draw<T>(count + 1, 2)};
      if (positive) {
        for (T& v : in[0]) v = T(std::fabs(Acc<T>(v)) + Acc<T>(0.1));
      }
      std::vector<T> want(in[0].size()), got(in[0].size());
      std::array<const T*, kN> from;
      Operands<T, kN> operands;
      for (size_t k = 0; k < kN; ++k) operands.at[k] = from[k] = in[k].data() + start;
      map<Fn, T, kN>(Cpu{}, fn, from, want.data() + start, count);
      const DenseBody<Fn, T, kN> body{fn, operands, got.data() + start};
      if (start == 0) {
        run_launch<kPack<T>>(count, body);
      } else {
        run_launch<1>(count, body);
      }
      expect_near(got, want, rounding<T>());
    }
  }
}

TYPED_TEST(DeviceBodies, DensePointwise) {
  check_dense<TypeParam>(Exp{}, false);
  check_dense<TypeParam>(Log{}, true);
  check_dense<TypeParam>(GeluTanh{}, false);
  check_dense<TypeParam>(Clamp{-0.5, 0.25}, false);
  check_dense<TypeParam>(Add{}, false);
  check_dense<TypeParam>(GradOf<GeluErf>{}, false);
}

TYPED_TEST(DeviceBodies, StridedPointwise) {
  using T = TypeParam;
  const auto a = draw<T>(400, 3), b = draw<T>(400, 4);
  int in_packs = 0;
  for (const Layout& left : layouts()) {
    for (const Layout& right : layouts()) {
      if (left.shape != right.shape || left.shape.product() == 0) continue;
      const Strides y_strides = contiguous_strides(left.shape);
      std::vector<T> want(static_cast<size_t>(left.shape.product())), got(want.size());
      map_strided<Mul, T, 2>(Cpu{}, Mul{}, left.shape, {a.data(), b.data()},
                             {&left.strides, &right.strides}, want.data());
      const auto loop = plan_loop<3>(left.shape, {&y_strides, &left.strides, &right.strides});
      StridedBody<Mul, T, 2> body{
          Mul{}, {{a.data(), b.data()}}, got.data(), StridedIndex<3>(loop), {}};
      constexpr int kW = kPack<T>;
      if (moves_in_packs(loop, kW)) {
        ++in_packs;
        for (int k = 0; k < 2; ++k) body.is_repeated[k] = loop.inner_stride(k + 1) == 0;
        run_launch<kW>(loop.count, body);
      } else {
        run_launch<1>(loop.count, body);
      }
      expect_near(got, want, rounding<T>());
    }
  }
  EXPECT_GT(in_packs, 5);
}

TYPED_TEST(DeviceBodies, RandomBitsAndDropoutAreTheCpus) {
  using T = TypeParam;
  constexpr int64_t kCount = 103;
  std::vector<T> want(kCount), got(kCount), normal(kCount), got_normal(kCount);
  fill_uniform(Cpu{}, want.data(), kCount, 5, 9);
  fill_normal(Cpu{}, normal.data(), kCount, 5, 9);
  for (int64_t i = 0; i < kCount; ++i) {
    const PhiloxBlock r = philox(5, 9 + static_cast<uint64_t>(i));
    got[static_cast<size_t>(i)] = uniform_of<T>(r);
    got_normal[static_cast<size_t>(i)] = normal_of<T>(r);
  }
  expect_near(got, want, 0);
  expect_near(got_normal, normal, rounding<T>());
  const auto x = draw<T>(kCount, 6);
  dropout(Cpu{}, x.data(), want.data(), kCount, 0.3, 11, 4);
  constexpr int kW = kPack<T> % 4 == 0 ? kPack<T> : 1;  // f64 has the plain form only
  const auto limit = static_cast<uint32_t>(std::ceil(0.3 * 0x1p24));
  for (int64_t i = 0; i + kW <= kCount; i += kW) {
    dropout_pack<kW>(x.data(), got.data(), i, static_cast<Acc<T>>(1 / 0.7), limit, 11, 4);
  }
  for (int64_t i = kCount / kW * kW; i < kCount; ++i) {
    dropout_pack<1>(x.data(), got.data(), i, static_cast<Acc<T>>(1 / 0.7), limit, 11, 4);
  }
  expect_near(got, want, rounding<T>());
}

TYPED_TEST(DeviceBodies, EmbeddingGradientOverRunsOfAnyLength) {
  using T = TypeParam;
  constexpr int kW = kPack<T>;
  constexpr int64_t kCols = 3 * kW, kVocabulary = 20;
  for (int64_t count : {1, 31, 32, 33, 64, 300}) {
    for (int64_t different : {1, 2, 19}) {  // one run over all chunks, or many
      const auto dy = draw<T>(count * kCols, 1);
      std::vector<int64_t> ids;
      for (int64_t i = 0; i < count; ++i) ids.push_back(i * i % different + 1);
      std::vector<T> want(kVocabulary * kCols), got(want.size());
      embedding_backward<T, int64_t>(Cpu{}, MatrixView<const T>{dy.data(), count, kCols, kCols},
                                     ids.data(),
                                     MatrixView<T>{want.data(), kVocabulary, kCols, kCols});
      // One more entry outside the table must change nothing.
      const SortGeometry g = sort_geometry(count, kVocabulary);
      std::vector<uint32_t> keys, positions;
      for (int64_t i = 0; i < count; ++i) {
        keys.push_back(key_of(ids[static_cast<size_t>(i)], kVocabulary));
        positions.push_back(static_cast<uint32_t>(i));
      }
      sort_on_host(keys, positions, g);
      keys.push_back(kVocabulary);
      positions.push_back(0);
      RunSums<T> runs{keys.data(), positions.data(), count + 1, kVocabulary, dy.data(),
                      kCols,       got.data(),       kCols,     kCols,       nullptr};
      std::vector<Acc<T>> partials(static_cast<size_t>(runs.chunks() * 2 * kCols), NAN);
      runs.partials = partials.data();
      for (int64_t chunk = 0; chunk < runs.chunks(); ++chunk) {
        for (int64_t c = 0; c < kCols; c += kW) runs.template sum_chunk<kW>(chunk, c);
      }
      for (int64_t chunk = 0; chunk < runs.chunks(); ++chunk) {
        if (!runs.starts_run(chunk)) continue;
        for (int64_t c = 0; c < kCols; c += kW) runs.template finish_run<kW>(chunk, c);
      }
      SCOPED_TRACE(::testing::Message() << count << " entries, " << different << " different");
      expect_near(got, want, 20 * rounding<T>());
    }
  }
}

/// reduce_sum.cu on the host: each piece by a group of three, then the pieces in order.
template <typename T>
std::vector<SumOf<T>> sum_as_device(const std::vector<T>& x, const Layout& layout, uint32_t reduced,
                                    int multiprocessors) {
  const SumPlan plan = plan_sum(layout.shape, layout.strides, reduced, multiprocessors);
  const StridedIndex<2> kept(plan.kept);
  const StridedIndex<1> terms(plan.reduced);
  const bool dense = plan.reduced.rank == 1 && plan.reduced.inner_stride(0) == 1;
  std::vector<SumOf<T>> y(static_cast<size_t>(plan.kept.count));
  for (int64_t j = 0; j < plan.kept.count; ++j) {
    SumTotal<T> total = 0;
    for (int64_t piece = 0; piece < plan.pieces; ++piece) {
      const int64_t begin = piece * plan.piece_length;
      const int64_t end = std::min(plan.reduced.count, begin + plan.piece_length);
      for (int64_t first = 0; first < 3; ++first) {
        total += sum_terms(x.data() + kept.at(j)[1], terms, dense, begin, end, first, 3);
      }
    }
    y[static_cast<size_t>(j)] = finish_sum<T>(total, 0.5);
  }
  return y;
}

TYPED_TEST(DeviceBodies, SumsOverAnyDimensions) {
  using T = TypeParam;
  const auto x = draw<T>(400, 1);
  for (const Layout& layout : layouts()) {
    for (uint32_t reduced = 0; reduced < 1u << layout.shape.rank(); ++reduced) {
      int64_t kept = 1;
      for (int d = 0; d < layout.shape.rank(); ++d) {
        if ((reduced >> d & 1) == 0) kept *= layout.shape[d];
      }
      std::vector<T> want(static_cast<size_t>(kept));
      sum<T>(Cpu{}, StridedView<const T>{x.data(), layout.shape, layout.strides}, reduced, 0.5,
             want.data());
      SCOPED_TRACE(::testing::Message() << layout.shape << layout.strides << " over " << reduced);
      expect_near(sum_as_device(x, layout, reduced, 2), want, 4 * rounding<T>());
    }
  }
}

TEST(SumPlan, CutsFewLongResultsIntoPiecesThatCoverTheTerms) {
  const SumPlan all = plan_sum({1 << 20}, {1}, 1, 132);
  EXPECT_GT(all.pieces, 100);
  EXPECT_GE(all.pieces * all.piece_length, 1 << 20);
  EXPECT_LT((all.pieces - 1) * all.piece_length, 1 << 20);
  const SumPlan columns = plan_sum({65536, 768}, {768, 1}, 1, 132);
  EXPECT_TRUE(columns.columns);
  EXPECT_GT(columns.pieces, 100);
  EXPECT_EQ(plan_sum({65536, 768}, {768, 1}, 2, 132).pieces, 1);
  EXPECT_FALSE(plan_sum({65536, 768}, {768, 1}, 2, 132).columns);
  const std::vector<float> ones(1 << 20, 1.0f);
  EXPECT_EQ(sum_as_device(ones, {{1 << 20}, {1}}, 1, 132)[0], 1 << 19);
}

TYPED_TEST(DeviceBodies, LargestElementAndItsGradient) {
  using T = TypeParam;
  for (int64_t inner : {1, 3}) {
    const int64_t outer = 5, n = 9;
    auto x = draw<T>(outer * n * inner, 1);
    for (size_t i = 0; i < x.size(); i += 4) x[i] = T(2.0f);  // ties
    x[x.size() - 2] = x[x.size() - 1] = T(NAN);
    std::vector<T> values(static_cast<size_t>(outer * inner)), dwant(x.size()), dgot(x.size());
    std::vector<int64_t> want(values.size()), got(values.size());
    max_along(Cpu{}, x.data(), outer, n, inner, values.data(), want.data());
    for (int members : {1, 4, 12}) {
      trireme::testing::run_group(members, [&](const auto& group) {
        for (int64_t i = 0; i < outer * inner; ++i) {
          const T* from = x.data() + i / inner * n * inner + i % inner;
          const int64_t index = best_of<Extremum::kLargest>(group, from, n, inner).index;
          if (group.rank() == 0) got[static_cast<size_t>(i)] = index;
        }
      });
      EXPECT_EQ(got, want) << members << " members";
    }
    const auto dy = draw<T>(outer * inner, 2);
    scatter_along(Cpu{}, dy.data(), want.data(), outer, n, inner, dwant.data());
    for (int64_t i = 0; i < outer * n * inner; ++i) {
      dgot[static_cast<size_t>(i)] = scattered(dy.data(), want.data(), n, inner, i);
    }
    expect_near(dgot, dwant, 0);
  }
}

}  // namespace
}  // namespace trireme::kernels
