#include "tests/kernels/cudnn_host_recurrent.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/kernels/cudnn_host_tensor.h"

namespace trireme::testing {
namespace {

constexpr int64_t kRoom = 8;  // elements, so that 16-bit gates stay aligned to 16 bytes
constexpr double kForwardWrote = 1, kGradientWrote = 2;

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
int64_t padded(int64_t count) { return (count + 7) / 8 * 8 + kRoom; }

/// One layer's arrays by index.
class Layer {
 public:
  Layer(const HostRecurrent& l, const void* weights) : l_(l), weights_(weights) {}

  double weight(int64_t number, int64_t row, int64_t column) const {
    return load(weights_, l_.matrix_at(number) + row * columns(number) + column, l_.type);
  }
  double bias(int64_t number, int64_t row) const {
    return l_.has_bias ? load(weights_, l_.bias_at(number) + row, l_.type) : 0;
  }
  int64_t columns(int64_t number) const { return number < l_.gates() ? l_.in : l_.hidden; }
  double at(const void* sequence, int64_t t, int64_t b, int64_t j, int64_t width) const {
    return load(sequence, (t * l_.batch + b) * width + j, l_.type);
  }
  double state(const void* first, int64_t b, int64_t j) const {
    return first ? load(first, b * l_.hidden + j, l_.type) : 0;
  }
  double h_before(const void* y, const void* h0, int64_t t, int64_t b, int64_t j) const {
    return t == 0 ? state(h0, b, j) : at(y, t - 1, b, j, l_.hidden);
  }
  /// What step t leaves for unit j.
  double* kept(double* reserve, int64_t t, int64_t b, int64_t j) const {
    return reserve + 1 + 8 * ((t * l_.batch + b) * l_.hidden + j);
  }

 private:
  const HostRecurrent& l_;
  const void* weights_;
};

/// The unit's next h; c is changed, and `left` filled: gates, then c before and behind.
double step(cudnnRNNMode_t mode, const double* x, const double* r, double h, double& c,
            double* left) {
  switch (mode) {
    case CUDNN_LSTM:
      left[0] = sigmoid(x[0] + r[0]);
      left[1] = sigmoid(x[1] + r[1]);
      left[2] = std::tanh(x[2] + r[2]);
      left[3] = sigmoid(x[3] + r[3]);
      left[4] = c;
      c = left[1] * c + left[0] * left[2];
      left[5] = c;
      return left[3] * std::tanh(c);
    case CUDNN_GRU:
      left[0] = sigmoid(x[0] + r[0]);
      left[1] = sigmoid(x[1] + r[1]);
      left[2] = std::tanh(x[2] + left[0] * r[2]);
      left[3] = r[2];
      return (1 - left[1]) * left[2] + left[1] * h;
    case CUDNN_RNN_RELU:
      return left[0] = std::max(0.0, x[0] + r[0]);
    default:
      return left[0] = std::tanh(x[0] + r[0]);
  }
}

/// From the gradient of the unit's new state, dh, to those of its gates' two shares; what the old
/// one gets directly is returned. dc is the cell's, before and behind.
double step_back(cudnnRNNMode_t mode, const double* left, double h_before, double dh, double& dc,
                 double* dx, double* dr) {
  switch (mode) {
    case CUDNN_LSTM: {
      const double i = left[0], f = left[1], g = left[2], o = left[3], t = std::tanh(left[5]);
      const double d = dc + dh * o * (1 - t * t);
      const double gates[] = {d * g * i * (1 - i), d * left[4] * f * (1 - f), d * i * (1 - g * g),
                              dh * t * o * (1 - o)};
      for (int k = 0; k < 4; ++k) dx[k] = dr[k] = gates[k];
      dc = d * f;
      return 0;
    }
    case CUDNN_GRU: {
      const double r = left[0], z = left[1], n = left[2];
      const double dn = dh * (1 - z) * (1 - n * n);
      dx[0] = dr[0] = dn * left[3] * r * (1 - r);
      dx[1] = dr[1] = dh * (h_before - n) * z * (1 - z);
      dx[2] = dn;
      dr[2] = dn * r;
      return dh * z;
    }
    case CUDNN_RNN_RELU:
      dx[0] = dr[0] = left[0] > 0 ? dh : 0;
      return 0;
    default:
      dx[0] = dr[0] = dh * (1 - left[0] * left[0]);
      return 0;
  }
}

}  // namespace

int64_t HostRecurrent::bias_at(int64_t number) const {
  if (!has_bias) return -1;
  return (number < gates() ? number + gates() : number - gates()) * padded(hidden);
}

int64_t HostRecurrent::matrix_at(int64_t number) const {
  const int64_t biases = has_bias ? 2 * gates() * padded(hidden) : 0;
  if (number >= gates()) return biases + (number - gates()) * padded(hidden * hidden);
  return biases + gates() * padded(hidden * hidden) + number * padded(hidden * in);
}

int64_t HostRecurrent::weight_count() const { return matrix_at(gates() - 1) + padded(hidden * in); }

void run_forward(const HostRecurrent& l, const HostRecurrentForward& f) {
  const Layer layer(l, f.weights);
  std::vector<double> nowhere(8);
  if (f.reserve) f.reserve[0] = kForwardWrote;
  for (int64_t b = 0; b < l.batch; ++b) {
    std::vector<double> c(static_cast<size_t>(l.hidden));
    for (int64_t j = 0; j < l.hidden; ++j) c[static_cast<size_t>(j)] = layer.state(f.c0, b, j);
    for (int64_t t = 0; t < l.steps; ++t) {
      for (int64_t j = 0; j < l.hidden; ++j) {
        double x[4] = {}, r[4] = {};
        for (int64_t k = 0; k < l.gates(); ++k) {
          x[k] = layer.bias(k, j);
          r[k] = layer.bias(l.gates() + k, j);
          for (int64_t i = 0; i < l.in; ++i)
            x[k] += layer.weight(k, j, i) * layer.at(f.x, t, b, i, l.in);
          for (int64_t i = 0; i < l.hidden; ++i) {
            r[k] += layer.weight(l.gates() + k, j, i) * layer.h_before(f.y, f.h0, t, b, i);
          }
        }
        double* left = f.reserve ? layer.kept(f.reserve, t, b, j) : nowhere.data();
        const double h =
            step(l.mode, x, r, layer.h_before(f.y, f.h0, t, b, j), c[static_cast<size_t>(j)], left);
        store(f.y, (t * l.batch + b) * l.hidden + j, l.type, h);
      }
    }
    for (int64_t j = 0; j < l.hidden; ++j) {
      const int64_t at = b * l.hidden + j;
      if (f.h) store(f.h, at, l.type, layer.at(f.y, l.steps - 1, b, j, l.hidden));
      if (f.c) store(f.c, at, l.type, c[static_cast<size_t>(j)]);
    }
  }
}

void run_gradient(const HostRecurrent& l, const HostRecurrentGradient& g) {
  const Layer layer(l, g.weights);
  EXPECT_EQ(g.reserve[0], kForwardWrote) << "the reserve is not forward's";
  g.reserve[0] = kGradientWrote;
  for (int64_t b = 0; b < l.batch; ++b) {
    std::vector<double> dh(static_cast<size_t>(l.hidden)), dc = dh;
    for (int64_t j = 0; j < l.hidden; ++j) {
      dh[static_cast<size_t>(j)] = layer.state(g.dh, b, j);
      dc[static_cast<size_t>(j)] = layer.state(g.dc, b, j);
    }
    for (int64_t t = l.steps - 1; t >= 0; --t) {
      std::vector<double> before(dh.size());
      std::vector<double> dx(static_cast<size_t>(l.in));
      for (int64_t j = 0; j < l.hidden; ++j) {
        double* left = layer.kept(g.reserve, t, b, j);
        double of_x[4] = {}, of_r[4] = {};
        const double total = dh[static_cast<size_t>(j)] + layer.at(g.dy, t, b, j, l.hidden);
        before[static_cast<size_t>(j)] +=
            step_back(l.mode, left, layer.h_before(g.y, g.h0, t, b, j), total,
                      dc[static_cast<size_t>(j)], of_x, of_r);
        for (int64_t k = 0; k < l.gates(); ++k) {
          left[k] = of_x[k];
          left[4 + k] = of_r[k];
          for (int64_t i = 0; i < l.in; ++i) {
            dx[static_cast<size_t>(i)] += layer.weight(k, j, i) * of_x[k];
          }
          for (int64_t i = 0; i < l.hidden; ++i) {
            before[static_cast<size_t>(i)] += layer.weight(l.gates() + k, j, i) * of_r[k];
          }
        }
      }
      dh = before;
      for (int64_t i = 0; i < l.in; ++i) {
        store(g.dx, (t * l.batch + b) * l.in + i, l.type, dx[static_cast<size_t>(i)]);
      }
    }
    for (int64_t j = 0; j < l.hidden; ++j) {
      const int64_t at = b * l.hidden + j;
      if (g.dh0) store(g.dh0, at, l.type, dh[static_cast<size_t>(j)]);
      if (g.dc0) store(g.dc0, at, l.type, dc[static_cast<size_t>(j)]);
    }
  }
}

void run_weight_gradient(const HostRecurrent& l, const void* x, const void* h0, const void* y,
                         void* dweights, const double* reserve) {
  const Layer layer(l, nullptr);
  EXPECT_EQ(reserve[0], kGradientWrote) << "the gradient of the data comes first";
  const auto add = [&](int64_t at, double value) {
    store(dweights, at, l.type, load(dweights, at, l.type) + value);
  };
  for (int64_t number = 0; number < 2 * l.gates(); ++number) {
    const bool is_state = number >= l.gates();
    const int64_t columns = layer.columns(number);
    for (int64_t j = 0; j < l.hidden; ++j) {
      const auto sum = [&](const auto& factor) {
        double total = 0;
        for (int64_t t = 0; t < l.steps; ++t) {
          for (int64_t b = 0; b < l.batch; ++b) {
            const double* left = layer.kept(const_cast<double*>(reserve), t, b, j);
            total += left[is_state ? 4 + number - l.gates() : number] * factor(t, b);
          }
        }
        return total;
      };
      if (l.has_bias) add(l.bias_at(number) + j, sum([](int64_t, int64_t) { return 1.0; }));
      for (int64_t i = 0; i < columns; ++i) {
        add(l.matrix_at(number) + j * columns + i, sum([&](int64_t t, int64_t b) {
              return is_state ? layer.h_before(y, h0, t, b, i) : layer.at(x, t, b, i, l.in);
            }));
      }
    }
  }
}

}  // namespace trireme::testing
