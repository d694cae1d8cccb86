// Lion, LAMB, LARS and Muon against their papers' algorithms, written out in f64.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "core/autograd/gradient_slot.h"
#include "core/ops/ops.h"
#include "core/optim/adam.h"
#include "core/optim/lion.h"
#include "core/optim/muon.h"
#include "core/optim/newton_schulz.h"
#include "core/optim/trust.h"

namespace trireme {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;
using Values = std::vector<double>;

constexpr int kSteps = 6;
constexpr double kRate = 0.03, kDecay = 0.2, kFactor = 0.5;

Values drawn(size_t count, uint64_t seed) {
  Generator generator(seed);
  Values values(count);
  for (double& v : values) v = generator.next_normal();
  return values;
}
Values gradient(size_t count, int step) { return drawn(count, 100 + static_cast<uint64_t>(step)); }

/// Parameter and state of one tensor of a reference.
struct Reference {
  Values p, m, v;
  explicit Reference(size_t count) : p(drawn(count, 1)), m(count), v(count) {}
};
using Rule = std::function<void(Reference&, const Values& g, int step)>;
using Make = std::function<std::unique_ptr<Optimizer>(StateDict)>;

/// Both on a parameter of `shape`, with the same gradients.
void compare(const Shape& shape, DType dtype, double tolerance, const Make& make,
             const Rule& rule) {
  const auto count = static_cast<size_t>(shape.product());
  Reference reference(count);
  Tensor p = cast(from_vector(reference.p, shape), dtype);
  p = clone_detached(p);
  p.set_requires_grad();
  const auto optimizer = make({{"p", p}});
  for (int step = 1; step <= kSteps; ++step) {
    Values g = gradient(count, step);
    set_gradient(p, cast(from_vector(g, shape), dtype));
    optimizer->step(full({}, kFactor, {DType::kF64}));
    for (double& x : g) x *= kFactor;
    rule(reference, g, step);
    const Values at = to(p.detach(), DType::kF64).to_vector<double>();
    for (size_t i = 0; i < count; ++i) {
      ASSERT_NEAR(at[i], reference.p[i], tolerance) << "step " << step << " element " << i;
    }
  }
}
void compare(const Shape& shape, const Make& make, const Rule& rule) {
  compare(shape, DType::kF64, 1e-12, make, rule);
  compare(shape, DType::kF32, 1e-5, make, rule);
}

std::vector<ParameterGroup> decayed(StateDict p) {
  return {{std::move(p), {.weight_decay = kDecay}}};
}
double norm(const Values& x) {
  double sum = 0;
  for (double v : x) sum += v * v;
  return std::sqrt(sum);
}

TEST(Lion, IsThePapersAlgorithm) {
  compare(
      {40, 30},
      [](StateDict p) {
        return std::make_unique<Lion>(decayed(std::move(p)), LionOptions{.lr = kRate});
      },
      [](Reference& r, const Values& g, int) {
        for (size_t i = 0; i < g.size(); ++i) {
          const double c = 0.9 * r.m[i] + 0.1 * g[i];
          r.p[i] -= kRate * ((c > 0) - (c < 0) + kDecay * r.p[i]);
          r.m[i] = 0.99 * r.m[i] + 0.01 * g[i];
        }
      });
}

Rule lamb(bool adapted) {
  return [=](Reference& r, const Values& g, int step) {
    Values u(g.size());
    for (size_t i = 0; i < g.size(); ++i) {
      r.m[i] = 0.9 * r.m[i] + 0.1 * g[i];
      r.v[i] = 0.99 * r.v[i] + 0.01 * g[i] * g[i];
      const double mean = r.m[i] / (1 - std::pow(0.9, step));
      const double square = r.v[i] / (1 - std::pow(0.99, step));
      u[i] = mean / (std::sqrt(square) + 1e-6) + kDecay * r.p[i];
    }
    const double trust = adapted ? norm(r.p) / norm(u) : 1;
    for (size_t i = 0; i < g.size(); ++i) r.p[i] -= kRate * trust * u[i];
  };
}
Make make_lamb(Adapts adapts) {
  return [=](StateDict p) {
    return std::make_unique<Lamb>(decayed(std::move(p)),
                                  LambOptions{.lr = kRate, .beta2 = 0.99, .adapts = adapts});
  };
}

// The matrix takes several chunks of a norm.
TEST(Lamb, IsThePapersAlgorithm) {
  compare({200, 300}, make_lamb(Adapts::kMatrices), lamb(true));
  compare({77}, make_lamb(Adapts::kMatrices), lamb(false));
  compare({77}, make_lamb(Adapts::kAll), lamb(true));
}

Rule lars(bool adapted) {
  return [=](Reference& r, const Values& g, int) {
    const double trust = adapted ? 0.02 * norm(r.p) / (norm(g) + kDecay * norm(r.p)) : 1;
    for (size_t i = 0; i < g.size(); ++i) {
      r.m[i] = 0.9 * r.m[i] + kRate * trust * (g[i] + kDecay * r.p[i]);
      r.p[i] -= r.m[i];
    }
  };
}
Make make_lars(Adapts adapts) {
  return [=](StateDict p) {
    return std::make_unique<Lars>(
        decayed(std::move(p)), LarsOptions{.lr = kRate, .trust = 0.02, .eps = 0, .adapts = adapts});
  };
}

TEST(Lars, IsThePapersAlgorithm) {
  compare({200, 300}, make_lars(Adapts::kMatrices), lars(true));
  compare({77}, make_lars(Adapts::kMatrices), lars(false));
  compare({77}, make_lars(Adapts::kAll), lars(true));
}

TEST(TrustRatios, AreOneWhereANormIsZero) {
  const Tensor p = zeros({2, 2}, {DType::kF64}).set_requires_grad();
  Lars optimizer({{{{"p", p}}, {}}}, {.lr = 0.5});
  set_gradient(p, ones({2, 2}, {DType::kF64}));
  optimizer.step();
  EXPECT_THAT(p.to_vector<double>(), ::testing::Each(-0.5));
}

/// [rows, cols] times its transpose, and the like, without a library.
Values product(const Values& a, const Values& b, size_t m, size_t k, size_t n) {
  Values c(m * n);
  for (size_t i = 0; i < m; ++i) {
    for (size_t j = 0; j < k; ++j) {
      for (size_t l = 0; l < n; ++l) c[i * n + l] += a[i * k + j] * b[j * n + l];
    }
  }
  return c;
}
Values transposed(const Values& a, size_t rows, size_t cols) {
  Values t(a.size());
  for (size_t i = 0; i < rows; ++i) {
    for (size_t j = 0; j < cols; ++j) t[j * rows + i] = a[i * cols + j];
  }
  return t;
}
/// Five steps X = 3.4445 X - 4.775 (X X^T) X + 2.0315 (X X^T)^2 X, the shorter side first.
Values newton_schulz(Values x, size_t rows, size_t cols) {
  if (rows > cols)
    return transposed(newton_schulz(transposed(x, rows, cols), cols, rows), cols, rows);
  const double size = norm(x);
  for (double& v : x) v /= size;
  for (int i = 0; i < 5; ++i) {
    const Values a = product(x, transposed(x, rows, cols), rows, cols, rows);
    const Values ax = product(a, x, rows, rows, cols), aax = product(a, ax, rows, rows, cols);
    for (size_t k = 0; k < x.size(); ++k) x[k] = 3.4445 * x[k] - 4.775 * ax[k] + 2.0315 * aax[k];
  }
  return x;
}

void check_muon(const Shape& shape, size_t rows, size_t cols, MuonScale form, double scale) {
  const auto make = [=](DType in) {
    return [=](StateDict p) {
      return std::make_unique<Muon>(MuonParameters{.matrices = decayed(std::move(p))},
                                    MuonOptions{.lr = kRate, .scale = form, .iterates_in = in});
    };
  };
  const Rule rule = [=](Reference& r, const Values& g, int) {
    Values u(g.size());
    for (size_t i = 0; i < g.size(); ++i) {
      r.m[i] = 0.95 * r.m[i] + g[i];
      u[i] = g[i] + 0.95 * r.m[i];
    }
    u = newton_schulz(u, rows, cols);
    for (size_t i = 0; i < g.size(); ++i) r.p[i] -= kRate * (scale * u[i] + kDecay * r.p[i]);
  };
  compare(shape, DType::kF64, 1e-10, make(DType::kF64), rule);
  compare(shape, DType::kF32, 1e-3, make(DType::kF32), rule);
  // bf16 has two or three digits; a step is kRate * scale long per singular direction.
  compare(shape, DType::kF32, 0.2 * kRate * scale, make(DType::kBF16), rule);
}

TEST(Muon, IsItsAuthorsAlgorithm) {
  check_muon({6, 10}, 6, 10, MuonScale::kLikeAdam, 0.2 * std::sqrt(10));
  check_muon({10, 6}, 10, 6, MuonScale::kLikeAdam, 0.2 * std::sqrt(10));
  // [in, out] and filters [out, ..].
  check_muon({6, 10}, 6, 10, MuonScale::kSpectral, std::sqrt(10.0 / 6));
  check_muon({10, 6}, 10, 6, MuonScale::kSpectral, 1);
  check_muon({12, 2, 3}, 12, 6, MuonScale::kSpectral, std::sqrt(2));
}

TEST(Muon, StepsTheRestByAdamW) {
  const auto leaf = [](uint64_t seed) {
    return from_vector(drawn(12, seed), {3, 4}).set_requires_grad();
  };
  const Tensor matrix = leaf(1), embedding = leaf(2), twin = leaf(2);
  Muon muon({.matrices = {{{{"w", matrix}}, {}}},
             .rest = {{{{"wte", embedding}}, {.weight_decay = 0.1, .lr_factor = 2}}}},
            {.lr = 0.01});
  AdamW adamw({{{{"wte", twin}}, {.weight_decay = 0.1, .lr_factor = 2}}},
              {.lr = 0.01, .beta2 = 0.95});
  for (int step = 0; step < 3; ++step) {
    for (const Tensor& p : {matrix, embedding, twin}) {
      set_gradient(p, from_vector(gradient(12, step), {3, 4}));
    }
    muon.step();
    adamw.step();
  }
  EXPECT_EQ(embedding.to_vector<double>(), twin.to_vector<double>());
  std::vector<std::string> names;
  for (const auto& [name, state] : muon.state_dict()) names.push_back(name);
  EXPECT_THAT(names, ::testing::ElementsAre("momentum.w", "updates.w", "exp_avg.wte",
                                            "exp_avg_sq.wte", "updates.wte"));
}

TEST(Muon, RefusesWhatIsNoMatrix) {
  const Tensor bias = zeros({3}).set_requires_grad();
  EXPECT_THAT(
      [&] {
        Muon({.matrices = {{{{"b", bias}}, {}}}}, {});
      },
      ThrowsMessage<InvalidArgument>("muon: steps matrices, b has shape [3]; put it into `rest`"));
}

TEST(Orthogonalised, HasSingularValuesNearOne) {
  Generator generator(5);
  const Tensor wide = randn({12, 40}, generator, {DType::kF64});
  for (const Tensor& matrix : {wide, transpose(wide, 0, 1)}) {
    for (const double size : {1e-12, 1.0, 1e12}) {  // whatever the size of the matrix
      const Tensor q = orthogonalised(matrix * size, DType::kF64);
      EXPECT_EQ(q.shape(), matrix.shape());
      const Tensor rows = q.size(0) < q.size(1) ? q : transpose(q, 0, 1);
      for (int i = 0; i < 20; ++i) {
        // |Q^T v| / |v| lies between the least and the largest singular value.
        const Tensor v = randn({1, 12}, generator, {DType::kF64});
        const double ratio = std::sqrt(sum(square(matmul(v, rows))).item() / sum(square(v)).item());
        EXPECT_GT(ratio, 0.65);
        EXPECT_LT(ratio, 1.25);
      }
    }
  }
  // The directions stay: U V^T of a diagonal matrix is the identity, but for signs.
  const Tensor diagonal = from_vector(Values{3, 0, 0, 0, -1, 0, 0, 0, 0.5}, {3, 3});
  const Values q = orthogonalised(diagonal, DType::kF64, 2).to_vector<double>();
  for (size_t i : {1, 2, 3, 5, 6, 7}) EXPECT_NEAR(q[i], 0, 1e-12);
  EXPECT_NEAR(q[0], 2, 0.7);
  EXPECT_NEAR(q[4], -2, 0.7);
  EXPECT_NEAR(q[8], 2, 0.7);
  EXPECT_THAT(orthogonalised(zeros({2, 3}), DType::kF32).to_vector<float>(), ::testing::Each(0));
  EXPECT_THROW(orthogonalised(zeros({3}), DType::kF32), InvalidArgument);
}

TEST(PaperRules, RefuseOptionsOutsideTheirRange) {
  const StateDict p{{"p", zeros({2, 2}).set_requires_grad()}};
  EXPECT_THAT([&] { Lion(decayed(p), {.beta1 = 1}); },
              ThrowsMessage<InvalidArgument>("lion: betas must be in [0, 1), got 1 and 0.99"));
  EXPECT_THAT([&] { Lamb(decayed(p), {.eps = -1}); },
              ThrowsMessage<InvalidArgument>(HasSubstr("lamb: eps must not be negative")));
  EXPECT_THAT([&] { Lars(decayed(p), {.trust = 0}); },
              ThrowsMessage<InvalidArgument>(HasSubstr("lars: trust must be positive")));
  EXPECT_THAT([&] { Muon({.matrices = decayed(p)}, {.momentum = 1}); },
              ThrowsMessage<InvalidArgument>(HasSubstr("muon: momentum must be in [0, 1)")));
}

}  // namespace
}  // namespace trireme
