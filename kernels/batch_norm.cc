#include "kernels/batch_norm.h"

#include <algorithm>
#include <cmath>

#include "kernels/rows.h"
#include "kernels/scratch.h"
#include "kernels/simd.h"

namespace trireme::kernels {
namespace {

/// Sums over rows of `count` values per column: fn(row, sums) adds one row to sums[count][cols].
/// The rows are cut the same way for any number of threads; each piece sums on its own.
template <typename A, typename Fn>
void sum_rows(int64_t rows, int64_t cols, int64_t count, A* out, const Fn& fn) {
  constexpr int64_t kMostPieces = 32, kLeastRows = 64;
  const int64_t pieces = std::clamp<int64_t>(rows / kLeastRows, 1, kMostPieces);
  const int64_t width = count * cols;
  A* partials = scratch<A>(Scratch::kPartials, pieces * width);
  parallel_for(pieces, rows * cols <= kSerialElements ? pieces : 1,
               [&](int64_t begin, int64_t end) {
                 for (int64_t p = begin; p < end; ++p) {
                   A* sums = partials + p * width;
                   std::fill_n(sums, width, A{0});
                   for (int64_t r = rows * p / pieces; r < rows * (p + 1) / pieces; ++r) {
                     fn(r, sums);
                   }
                 }
               });
  std::copy_n(partials, width, out);
  for (int64_t p = 1; p < pieces; ++p) {
    for (int64_t i = 0; i < width; ++i) out[i] += partials[p * width + i];
  }
}

/// The normalised values [i, ..) of a row.
template <typename T, typename Part>
Vec<T> normalised(const Part& part, const T* row, int64_t i, const Acc<T>* mean, const Acc<T>* rstd,
                  const Acc<T>* gamma, const Acc<T>* beta) {
  Vec<T> v = (part.load(row + i) - part.load(mean + i)) * part.load(rstd + i);
  if (gamma) v *= part.load(gamma + i);
  if (beta) v += part.load(beta + i);
  return v;
}

/// y[r, i] = finish(r, i, part, normalised x[r, i]).
template <typename T, typename Finish>
void normalise(const MatrixView<const T>& x, const Acc<T>* mean, const Acc<T>* rstd,
               const Acc<T>* gamma, const Acc<T>* beta, const MatrixView<T>& y,
               const Finish& finish) {
  each_row(x.rows, x.cols, [&](int64_t r) {
    const T* from = x.row(r);
    T* to = y.row(r);
    each_vector<T>(x.cols, [&](int64_t i, auto part) {
      part.store(to + i, finish(r, i, part, normalised<T>(part, from, i, mean, rstd, gamma, beta)));
    });
  });
}

/// The sums of xhat times what upstream(r, i, part) gives, and of that alone.
template <typename T, typename Upstream>
void gradient_sums(const MatrixView<const T>& x, const Acc<T>* mean, const Acc<T>* rstd,
                   Acc<T>* dgamma, Acc<T>* dbeta, const Upstream& upstream) {
  using A = Acc<T>;
  A* both = scratch<A>(Scratch::kBlock, 2 * x.cols);
  sum_rows(x.rows, x.cols, 2, both, [&](int64_t r, A* sums) {
    const T* from = x.row(r);
    A *gamma_sum = sums, *beta_sum = sums + x.cols;
    each_vector<T>(x.cols, [&](int64_t i, auto part) {
      const Vec<T> d = upstream(r, i, part);
      const Vec<T> xhat = (part.load(from + i) - part.load(mean + i)) * part.load(rstd + i);
      part.store(gamma_sum + i, part.load(gamma_sum + i) + d * xhat);
      part.store(beta_sum + i, part.load(beta_sum + i) + d);
    });
  });
  std::copy_n(both, x.cols, dgamma);
  std::copy_n(both + x.cols, x.cols, dbeta);
}

/// dx from upstream(r, i, part), the gradient of the normalised values.
template <typename T, typename Upstream>
void input_gradient(const MatrixView<const T>& x, const Acc<T>* mean, const Acc<T>* rstd,
                    const Acc<T>* gamma, const Acc<T>* dgamma, const Acc<T>* dbeta,
                    const MatrixView<T>& dx, const Upstream& upstream) {
  using A = Acc<T>;
  const A per_row = A{1} / static_cast<A>(x.rows);
  each_row(x.rows, x.cols, [&](int64_t r) {
    const T* from = x.row(r);
    T* to = dx.row(r);
    each_vector<T>(x.cols, [&](int64_t i, auto part) {
      const Vec<T> scale = part.load(rstd + i);
      const Vec<T> xhat = (part.load(from + i) - part.load(mean + i)) * scale;
      Vec<T> v =
          upstream(r, i, part) - (part.load(dbeta + i) + xhat * part.load(dgamma + i)) * per_row;
      v *= scale;
      if (gamma) v *= part.load(gamma + i);
      part.store(to + i, v);
    });
  });
}

}  // namespace

template <typename T>
void batch_moments(Cpu, MatrixView<const T> x, Acc<T> eps, RunningMoments<Acc<T>> running,
                   Acc<T>* mean, Acc<T>* rstd) {
  using A = Acc<T>;
  const A per_row = A{1} / static_cast<A>(x.rows);
  sum_rows(x.rows, x.cols, 1, mean, [&](int64_t r, A* sum) {
    const T* from = x.row(r);
    each_vector<T>(x.cols, [&](int64_t i, auto part) {
      part.store(sum + i, part.load(sum + i) + part.load(from + i));
    });
  });
  for (int64_t c = 0; c < x.cols; ++c) mean[c] *= per_row;
  // The deviations' own mean corrects what rounding left in the first one. Chan, Golub, LeVeque,
  // "Algorithms for computing the sample variance", 1983.
  A* both = scratch<A>(Scratch::kBlock, 2 * x.cols);
  sum_rows(x.rows, x.cols, 2, both, [&](int64_t r, A* sums) {
    const T* from = x.row(r);
    A *sum = sums, *squares = sums + x.cols;
    each_vector<T>(x.cols, [&](int64_t i, auto part) {
      const Vec<T> d = part.load(from + i) - part.load(mean + i);
      part.store(sum + i, part.load(sum + i) + d);
      part.store(squares + i, part.load(squares + i) + d * d);
    });
  });
  for (int64_t c = 0; c < x.cols; ++c) {
    const A shift = both[c] * per_row;
    mean[c] += shift;
    const A var = std::max(both[x.cols + c] * per_row - shift * shift, A{0});
    rstd[c] = A{1} / std::sqrt(var + eps);
    if (running.mean) move_running(running, c, x.rows, mean[c], var);
  }
}

template <typename T>
void batch_norm(Cpu, MatrixView<const T> x, const Acc<T>* mean, const Acc<T>* rstd,
                const Acc<T>* gamma, const Acc<T>* beta, MatrixView<T> y) {
  normalise<T>(x, mean, rstd, gamma, beta, y,
               [](int64_t, int64_t, auto, const Vec<T>& v) { return v; });
}

template <typename T>
void batch_norm_relu(Cpu, MatrixView<const T> x, const Acc<T>* mean, const Acc<T>* rstd,
                     const Acc<T>* gamma, const Acc<T>* beta, MatrixView<const T> residual,
                     MatrixView<T> y) {
  normalise<T>(x, mean, rstd, gamma, beta, y, [&](int64_t r, int64_t i, auto part, Vec<T> v) {
    if (residual.data) v += part.load(residual.row(r) + i);
    return max_of(v, Vec<T>{});
  });
}

template <typename T>
void batch_norm_sums(Cpu, MatrixView<const T> x, const Acc<T>* mean, const Acc<T>* rstd,
                     MatrixView<const T> dy, Acc<T>* dgamma, Acc<T>* dbeta) {
  gradient_sums<T>(x, mean, rstd, dgamma, dbeta,
                   [&](int64_t r, int64_t i, auto part) { return part.load(dy.row(r) + i); });
}

template <typename T>
void batch_norm_relu_sums(Cpu, MatrixView<const T> x, const Acc<T>* mean, const Acc<T>* rstd,
                          MatrixView<const T> y, MatrixView<const T> dy, MatrixView<T> g,
                          Acc<T>* dgamma, Acc<T>* dbeta) {
  gradient_sums<T>(x, mean, rstd, dgamma, dbeta, [&](int64_t r, int64_t i, auto part) {
    const Vec<T> none{}, d = part.load(dy.row(r) + i);
    const Vec<T> kept = part.load(y.row(r) + i) <= none ? none : d;
    part.store(g.row(r) + i, kept);
    return kept;
  });
}

template <typename T>
void batch_norm_before_relu_sums(Cpu, MatrixView<const T> x, const Acc<T>* mean, const Acc<T>* rstd,
                                 const Acc<T>* gamma, const Acc<T>* beta, MatrixView<const T> dy,
                                 Acc<T>* dgamma, Acc<T>* dbeta) {
  gradient_sums<T>(x, mean, rstd, dgamma, dbeta, [&](int64_t r, int64_t i, auto part) {
    const Vec<T> none{}, d = part.load(dy.row(r) + i);
    const Vec<T> v = normalised<T>(part, x.row(r), i, mean, rstd, gamma, beta);
    return Vec<T>(v <= none ? none : d);
  });
}

template <typename T>
void batch_norm_input_gradient(Cpu, MatrixView<const T> x, const Acc<T>* mean, const Acc<T>* rstd,
                               const Acc<T>* gamma, const Acc<T>* dgamma, const Acc<T>* dbeta,
                               MatrixView<const T> dy, MatrixView<T> dx) {
  input_gradient<T>(x, mean, rstd, gamma, dgamma, dbeta, dx,
                    [&](int64_t r, int64_t i, auto part) { return part.load(dy.row(r) + i); });
}

template <typename T>
void batch_norm_before_relu_input_gradient(Cpu, MatrixView<const T> x, const Acc<T>* mean,
                                           const Acc<T>* rstd, const Acc<T>* gamma,
                                           const Acc<T>* beta, const Acc<T>* dgamma,
                                           const Acc<T>* dbeta, MatrixView<const T> dy,
                                           MatrixView<T> dx) {
  input_gradient<T>(x, mean, rstd, gamma, dgamma, dbeta, dx, [&](int64_t r, int64_t i, auto part) {
    const Vec<T> none{}, d = part.load(dy.row(r) + i);
    const Vec<T> v = normalised<T>(part, x.row(r), i, mean, rstd, gamma, beta);
    return Vec<T>(v <= none ? none : d);
  });
}

#define TRIREME_INSTANTIATE(T)                                                                     \
  template void batch_moments(Cpu, MatrixView<const T>, Acc<T>, RunningMoments<Acc<T>>, Acc<T>*,   \
                              Acc<T>*);                                                            \
  template void batch_norm(Cpu, MatrixView<const T>, const Acc<T>*, const Acc<T>*, const Acc<T>*,  \
                           const Acc<T>*, MatrixView<T>);                                          \
  template void batch_norm_relu(Cpu, MatrixView<const T>, const Acc<T>*, const Acc<T>*,            \
                                const Acc<T>*, const Acc<T>*, MatrixView<const T>, MatrixView<T>); \
  template void batch_norm_sums(Cpu, MatrixView<const T>, const Acc<T>*, const Acc<T>*,            \
                                MatrixView<const T>, Acc<T>*, Acc<T>*);                            \
  template void batch_norm_relu_sums(Cpu, MatrixView<const T>, const Acc<T>*, const Acc<T>*,       \
                                     MatrixView<const T>, MatrixView<const T>, MatrixView<T>,      \
                                     Acc<T>*, Acc<T>*);                                            \
  template void batch_norm_before_relu_sums(Cpu, MatrixView<const T>, const Acc<T>*,               \
                                            const Acc<T>*, const Acc<T>*, const Acc<T>*,           \
                                            MatrixView<const T>, Acc<T>*, Acc<T>*);                \
  template void batch_norm_before_relu_input_gradient(                                             \
      Cpu, MatrixView<const T>, const Acc<T>*, const Acc<T>*, const Acc<T>*, const Acc<T>*,        \
      const Acc<T>*, const Acc<T>*, MatrixView<const T>, MatrixView<T>);                           \
  template void batch_norm_input_gradient(Cpu, MatrixView<const T>, const Acc<T>*, const Acc<T>*,  \
                                          const Acc<T>*, const Acc<T>*, const Acc<T>*,             \
                                          MatrixView<const T>, MatrixView<T>)
TRIREME_INSTANTIATE(double);
TRIREME_INSTANTIATE(float);
TRIREME_INSTANTIATE(BFloat16);
TRIREME_INSTANTIATE(Float16);
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels
