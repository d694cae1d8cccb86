// Attention through stored scores, on host memory, equals the CPU kernel: its products run in the
// mock of cuBLASLt, its row functions with one thread as the team.

#include "kernels/attention_stored.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <vector>

#include "kernels/cublas_matmul.h"
#include "tests/kernels/cublas_mock.h"
#include "tests/kernels/host_device.h"

namespace trireme::kernels {
namespace {

using testing::CublasMock;
using testing::HostDevice;

struct OneThread {
  int64_t lane() const { return 0; }
  int64_t lanes() const { return 1; }
  template <typename A>
  A max(A x) const {
    return x;
  }
  template <typename A>
  A sum(A x) const {
    return x;
  }
};

struct HostEngine {
  CublasMatmul& library;
  std::vector<std::unique_ptr<std::byte[]>> blocks;

  void* allocate(int64_t bytes) {
    blocks.push_back(std::make_unique<std::byte[]>(static_cast<size_t>(bytes)));
    return blocks.back().get();
  }
  void multiply(const MatmulCall& call) { library.run(call, nullptr); }
  template <typename T>
  void softmax(const ScoreBlock<T>& b, const Acc<T>* products, T* p,
               BlockStatistics<Acc<T>> logsumexp) {
    for (int64_t r = 0; r < b.heads * b.rows; ++r) {
      logsumexp.data[r / b.rows * logsumexp.head_stride + r % b.rows] = softmax_scores(
          OneThread{}, b, r / b.rows, r % b.rows, products + r * b.keys, p + r * b.keys);
    }
  }
  template <typename T>
  void softmax_backward(const ScoreBlock<T>& b, const Acc<T>* products, const Acc<T>* dp,
                        BlockStatistics<const Acc<T>> lse, BlockRows<T> dout, BlockRows<T> out,
                        int64_t head_dim, T* p, T* ds) {
    for (int64_t r = 0; r < b.heads * b.rows; ++r) {
      const int64_t h = r / b.rows, i = r % b.rows, at = r * b.keys;
      softmax_scores_backward(
          OneThread{}, b, h, i, products + at, dp + at, lse.data[h * lse.head_stride + i],
          dout.data + h * dout.head_stride + i * dout.row_stride,
          out.data + h * out.head_stride + i * out.row_stride, head_dim, p + at, ds + at);
    }
  }
};

std::vector<double> draw(int64_t count, double seed) {
  std::vector<double> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) values[i] = std::sin(double(i) * 1.3 + seed);
  return values;
}

struct Case {
  int64_t batch, heads, queries, keys, head_dim;
  bool causal = false, has_keep = false, has_bias = false;
  double dropout = 0;
};

void check(const Case& c, const ScoreCut& cut) {
  CublasMock mock;
  HostDevice device([&] { return mock.time(); });
  MatmulAlgorithms algorithms("", "", 0);
  CublasMatmul library(mock.api(), device, algorithms, {});
  HostEngine engine{library, {}};
  const auto view = [&](auto* data, int64_t rows) {
    return StridedView<std::remove_pointer_t<decltype(data)>>{
        data,
        {c.batch, c.heads, rows, c.head_dim},
        {rows * c.heads * c.head_dim, c.head_dim, c.heads * c.head_dim, 1}};
  };
  const int64_t nq = c.batch * c.heads * c.queries * c.head_dim;
  const int64_t nk = c.batch * c.heads * c.keys * c.head_dim;
  const auto q = draw(nq, 1), k = draw(nk, 2), v = draw(nk, 3), dout = draw(nq, 4);
  const auto bias = draw(c.heads * c.queries * c.keys, 5);
  std::unique_ptr<bool[]> keep(new bool[static_cast<size_t>(c.batch * c.keys)]);
  for (int64_t i = 0; i < c.batch * c.keys; ++i) keep[static_cast<size_t>(i)] = i % 3 != 1;
  AttentionSpec<double> spec;
  spec.scale = 0.7;
  spec.causal = c.causal;
  spec.dropout = c.dropout;
  spec.seed = 11;
  spec.first = 5;
  const Shape scores{c.batch, c.heads, c.queries, c.keys};
  if (c.has_keep) spec.keep = {keep.get(), scores, {c.keys, 0, 0, 1}};
  if (c.has_bias) spec.bias = {bias.data(), scores, {0, c.queries * c.keys, c.keys, 1}};

  std::vector<double> out(q.size()), want_out = out;
  std::vector<double> lse(static_cast<size_t>(c.batch * c.heads * c.queries)), want_lse = lse;
  const auto vq = view(q.data(), c.queries), vk = view(k.data(), c.keys);
  const auto vv = view(v.data(), c.keys), vdout = view(dout.data(), c.queries);
  attention<double>(Cpu{}, vq, vk, vv, spec, view(want_out.data(), c.queries), want_lse.data());
  attention_stored<double>(engine, vq, vk, vv, spec, view(out.data(), c.queries), lse.data(), cut);
  for (size_t i = 0; i < out.size(); ++i) ASSERT_NEAR(out[i], want_out[i], 1e-12) << i;
  for (size_t i = 0; i < lse.size(); ++i) {
    if (std::isinf(want_lse[i])) {
      ASSERT_EQ(lse[i], want_lse[i]);
    } else {
      ASSERT_NEAR(lse[i], want_lse[i], 1e-12);
    }
  }

  std::vector<double> dq(q.size(), 9), dk(k.size(), 9), dv(v.size(), 9);
  std::vector<double> want_dq = dq, want_dk = dk, want_dv = dv;
  attention_backward<double>(Cpu{}, vq, vk, vv, spec,
                             view(static_cast<const double*>(want_out.data()), c.queries),
                             want_lse.data(), vdout,
                             {view(want_dq.data(), c.queries), view(want_dk.data(), c.keys),
                              view(want_dv.data(), c.keys)});
  attention_stored_backward<double>(
      engine, vq, vk, vv, spec, view(static_cast<const double*>(out.data()), c.queries), lse.data(),
      vdout, {view(dq.data(), c.queries), view(dk.data(), c.keys), view(dv.data(), c.keys)}, cut);
  for (size_t i = 0; i < dq.size(); ++i) ASSERT_NEAR(dq[i], want_dq[i], 1e-12) << "dq " << i;
  for (size_t i = 0; i < dk.size(); ++i) ASSERT_NEAR(dk[i], want_dk[i], 1e-12) << "dk " << i;
  for (size_t i = 0; i < dv.size(); ++i) ASSERT_NEAR(dv[i], want_dv[i], 1e-12) << "dv " << i;
}

TEST(AttentionStored, EqualsTheCpuKernelHoweverTheScoresAreCut) {
  for (const ScoreCut& cut :
       {ScoreCut{3, 6}, ScoreCut{2, 6}, ScoreCut{1, 6}, ScoreCut{1, 4}, ScoreCut{1, 1}}) {
    check({2, 3, 6, 6, 5, true}, cut);
    check({2, 3, 6, 6, 5, false}, cut);
    check({2, 3, 6, 9, 5, true}, cut);
    check({2, 3, 6, 4, 5, true}, cut);  // the first two queries see no key
    check({2, 3, 6, 6, 5, true, true, true, 0.0}, cut);
    check({2, 3, 6, 7, 5, false, true, true, 0.3}, cut);
  }
}

TEST(AttentionStored, ScoresAreCutToTheMemoryAllowed) {
  const ScoreCut many = cut_scores(12, 1024, 1024, 4);
  EXPECT_EQ(many.heads, 12);
  EXPECT_EQ(many.rows, 1024);
  const ScoreCut some = cut_scores(64, 1024, 1024, 4);
  EXPECT_EQ(some.heads, 16);
  EXPECT_EQ(some.rows, 1024);
  const ScoreCut part = cut_scores(12, 100'000, 100'000, 4);
  EXPECT_EQ(part.heads, 1);
  EXPECT_LE(part.rows * 100'000 * 4, kScoreBytes);
  EXPECT_EQ(cut_scores(1, 5, int64_t{1} << 40, 4).rows, 1);
}

}  // namespace
}  // namespace trireme::kernels
