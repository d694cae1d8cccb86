// A thread takes an image. Every pass runs along whole rows of channels, so that vectors are full
// however narrow the groups: sums are kept per channel, and the channels of a group added at the
// end.

#include "kernels/group_norm.h"

#include <algorithm>
#include <cmath>

#include "kernels/half_rows.h"
#include "kernels/rows.h"

namespace trireme::kernels {
namespace {

/// Calls fn(group, first channel, last channel + 1).
template <typename Fn>
void each_group(const GroupedImages& of, const Fn& fn) {
  for (int64_t g = 0; g < of.groups; ++g) fn(g, g * of.width(), (g + 1) * of.width());
}

/// The mean over a group's elements of what `sums` holds per channel.
template <typename A>
A group_mean(const GroupedImages& of, const A* sums, int64_t begin, int64_t end) {
  double sum = 0;
  for (int64_t c = begin; c < end; ++c) sum += static_cast<double>(sums[c]);
  return static_cast<A>(sum / static_cast<double>(of.positions * of.width()));
}

template <typename T, typename A>
A factor_at(const T* gamma, int64_t c) {
  return gamma ? static_cast<A>(gamma[c]) : A{1};
}

/// Calls fn(i, part) for the vectors of every position's row; i counts within the row, whose first
/// element is `offset` from the image's.
template <typename T, typename Fn>
void each_position(const GroupedImages& of, const Fn& fn) {
  for (int64_t p = 0; p < of.positions; ++p) {
    const int64_t offset = p * of.channels;
    each_vector<T>(of.channels, [&](int64_t i, auto part) { fn(offset + i, i, part); });
  }
}

template <typename T>
void forward_image(const GroupedImages& of, const T* x, const T* gamma, const T* beta, double eps,
                   T* y, Acc<T>* mean, Acc<T>* rstd) {
  using A = Acc<T>;
  A* center = scratch<A>(Scratch::kBlock, 2 * of.channels);
  A* scale = center + of.channels;
  std::fill_n(center, 2 * of.channels, A{0});
  each_position<T>(of, [&](int64_t at, int64_t i, auto part) {
    part.store(center + i, part.load(center + i) + part.load(x + at));
  });
  each_group(of, [&](int64_t g, int64_t begin, int64_t end) {
    mean[g] = group_mean(of, center, begin, end);
    std::fill(center + begin, center + end, mean[g]);
  });
  // Deviations from the mean, not E[x^2] - mean^2: that loses all digits when the mean is large.
  each_position<T>(of, [&](int64_t at, int64_t i, auto part) {
    const Vec<T> d = part.load(x + at) - part.load(center + i);
    part.store(scale + i, part.load(scale + i) + d * d);
  });
  each_group(of, [&](int64_t g, int64_t begin, int64_t end) {
    rstd[g] = 1 / std::sqrt(group_mean(of, scale, begin, end) + static_cast<A>(eps));
    for (int64_t c = begin; c < end; ++c) scale[c] = rstd[g] * factor_at<T, A>(gamma, c);
  });
  each_position<T>(of, [&](int64_t at, int64_t i, auto part) {
    Vec<T> v = (part.load(x + at) - part.load(center + i)) * part.load(scale + i);
    if (beta) v += part.load(beta + i);
    part.store(y + at, v);
  });
}

/// sums [2, channels] receives the image's share of dgamma and dbeta.
template <typename T>
void backward_image(const GroupedImages& of, const T* x, const T* gamma, const Acc<T>* mean,
                    const Acc<T>* rstd, const T* dy, T* dx, Acc<T>* sums) {
  using A = Acc<T>;
  A* center = scratch<A>(Scratch::kBlock, 5 * of.channels);
  A *scale = center + of.channels, *of_dy = scale + of.channels, *constant = of_dy + of.channels,
    *of_xhat = constant + of.channels;
  A *of_gamma = sums, *of_beta = sums + of.channels;
  each_group(of, [&](int64_t g, int64_t begin, int64_t end) {
    std::fill(center + begin, center + end, mean[g]);
    std::fill(scale + begin, scale + end, rstd[g]);
  });
  std::fill_n(sums, 2 * of.channels, A{0});
  const auto xhat = [&](int64_t at, int64_t i, auto part) {
    return (part.load(x + at) - part.load(center + i)) * part.load(scale + i);
  };
  each_position<T>(of, [&](int64_t at, int64_t i, auto part) {
    const Vec<T> d = part.load(dy + at);
    part.store(of_gamma + i, part.load(of_gamma + i) + d * xhat(at, i, part));
    part.store(of_beta + i, part.load(of_beta + i) + d);
  });
  if (!dx) return;
  each_group(of, [&](int64_t g, int64_t begin, int64_t end) {
    double mean_g = 0, mean_gx = 0;
    for (int64_t c = begin; c < end; ++c) {
      const A factor = factor_at<T, A>(gamma, c);
      mean_g += static_cast<double>(factor * of_beta[c]);
      mean_gx += static_cast<double>(factor * of_gamma[c]);
      of_dy[c] = rstd[g] * factor;
    }
    const double per_element = 1.0 / static_cast<double>(of.positions * of.width());
    std::fill(constant + begin, constant + end, static_cast<A>(mean_g * per_element) * rstd[g]);
    std::fill(of_xhat + begin, of_xhat + end, static_cast<A>(mean_gx * per_element) * rstd[g]);
  });
  each_position<T>(of, [&](int64_t at, int64_t i, auto part) {
    part.store(dx + at, part.load(dy + at) * part.load(of_dy + i) - part.load(constant + i) -
                            xhat(at, i, part) * part.load(of_xhat + i));
  });
}

}  // namespace

template <typename T>
void group_norm(Cpu, const GroupedImages& of, const T* x, const T* gamma, const T* beta, double eps,
                T* y, Acc<T>* mean, Acc<T>* rstd) {
  const int64_t image = of.positions * of.channels;
  each_row(of.batch, image, [&](int64_t n) {
    forward_image(of, x + n * image, gamma, beta, eps, y + n * image, mean + n * of.groups,
                  rstd + n * of.groups);
  });
}

template <typename T>
void group_norm_backward(Cpu, const GroupedImages& of, const T* x, const T* gamma,
                         const Acc<T>* mean, const Acc<T>* rstd, const T* dy, T* dx, T* dgamma,
                         T* dbeta) {
  using A = Acc<T>;
  const int64_t image = of.positions * of.channels, width = 2 * of.channels;
  A* sums = scratch<A>(Scratch::kPartials, std::max<int64_t>(1, of.batch) * width);
  each_row(of.batch, image, [&](int64_t n) {
    backward_image(of, x + n * image, gamma, mean + n * of.groups, rstd + n * of.groups,
                   dy + n * image, dx ? dx + n * image : nullptr, sums + n * width);
  });
  if (of.batch == 0) std::fill_n(sums, width, A{0});
  for (int64_t n = 1; n < of.batch; ++n) {
    for (int64_t c = 0; c < width; ++c) sums[c] += sums[n * width + c];
  }
  if (dgamma) convert_row(dgamma, sums, of.channels);
  if (dbeta) convert_row(dbeta, sums + of.channels, of.channels);
}

#define TRIREME_INSTANTIATE(T)                                                                    \
  template void group_norm(Cpu, const GroupedImages&, const T*, const T*, const T*, double, T*,   \
                           Acc<T>*, Acc<T>*);                                                     \
  template void group_norm_backward(Cpu, const GroupedImages&, const T*, const T*, const Acc<T>*, \
                                    const Acc<T>*, const T*, T*, T*, T*)
TRIREME_INSTANTIATE(float);
TRIREME_INSTANTIATE(double);
TRIREME_INSTANTIATE(BFloat16);
TRIREME_INSTANTIATE(Float16);
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels
