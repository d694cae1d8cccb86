// Rows of the recurrent layers, and of group normalisation.

#include <cmath>

#include "core/ops/ops.h"
#include "tests/ops/op_cases.h"

namespace trireme::testing {
namespace {

double sigmoid_of(double x) { return 1 / (1 + std::exp(-x)); }

/// One hidden unit's next state: x and r are the gates' shares, c is used by lstm only.
using Unit = std::function<void(const double* x, const double* r, double& h, double& c)>;

void lstm_unit(const double* x, const double* r, double& h, double& c) {
  c = sigmoid_of(x[1] + r[1]) * c + sigmoid_of(x[0] + r[0]) * std::tanh(x[2] + r[2]);
  h = sigmoid_of(x[3] + r[3]) * std::tanh(c);
}
void gru_unit(const double* x, const double* r, double& h, double&) {
  const double z = sigmoid_of(x[1] + r[1]);
  const double n = std::tanh(x[2] + sigmoid_of(x[0] + r[0]) * r[2]);
  h = (1 - z) * n + z * h;
}

/// Operands are x, input weight, hidden weight, both biases, h0, c0 (lstm), lengths; those that it
/// has.
struct Layer {
  int gates = 0;
  Unit unit = {};
  bool has_c = false, has_lengths = false, has_bias = true;
  TimeOrder order = TimeOrder::kForward;
  bool has_first = true;  // h0 and c0; without them they are zeros

  size_t h0() const { return has_bias ? 5 : 3; }
  Tensor first(const Tensors& in, size_t state) const {
    return has_first ? in[h0() + state] : Tensor();
  }
};

/// [batch, time * hidden] of y, then h, then c: all results beside each other.
Array layer_reference(const Layer& of, const Arrays& in) {
  const int64_t batch = in[0].shape[0], steps = in[0].shape[1], width = in[0].shape[2];
  const int64_t n = in[2].shape[0], g = of.gates, row = (steps + (of.has_c ? 2 : 1)) * n;
  Array out = Array::zeros({batch, row});
  for (int64_t b = 0; b < batch; ++b) {
    std::vector<double> h(static_cast<size_t>(n)), c(static_cast<size_t>(n));
    for (int64_t j = 0; of.has_first && j < n; ++j) {
      h[size_t(j)] = in[of.h0()][b * n + j];
      if (of.has_c) c[size_t(j)] = in[of.h0() + 1][b * n + j];
    }
    const int64_t length = of.has_lengths ? int64_t(in.back()[b]) : steps;
    for (int64_t s = 0; s < length; ++s) {
      const int64_t t = of.order == TimeOrder::kForward ? s : length - 1 - s;
      std::vector<double> next_h = h;
      for (int64_t j = 0; j < n; ++j) {
        double x[4] = {}, r[4] = {};
        for (int64_t k = 0; k < g; ++k) {
          const int64_t col = k * n + j;
          if (of.has_bias) x[k] = in[3][col], r[k] = in[4][col];
          for (int64_t i = 0; i < width; ++i) {
            x[k] += in[0][(b * steps + t) * width + i] * in[1][i * g * n + col];
          }
          for (int64_t i = 0; i < n; ++i) r[k] += h[size_t(i)] * in[2][i * g * n + col];
        }
        of.unit(x, r, next_h[size_t(j)], c[size_t(j)]);
        out[b * row + t * n + j] = next_h[size_t(j)];
      }
      h = next_h;
    }
    for (int64_t j = 0; j < n; ++j) {
      out[b * row + steps * n + j] = h[size_t(j)];
      if (of.has_c) out[b * row + (steps + 1) * n + j] = c[size_t(j)];
    }
  }
  return out;
}

OpCase layer_case(const std::string& name, const Layer& of,
                  std::function<std::vector<Tensor>(const Tensors& in, const RecurrentWeights& w,
                                                    const RecurrentOptions& options)>
                      results,
                  int64_t batch, int64_t steps, int64_t width, int64_t hidden) {
  const auto shapes = [&](int64_t b, int64_t t, int64_t i, int64_t n) {
    const int64_t w = of.gates * n;
    Shapes all{{b, t, i}, {i, w}, {n, w}};
    if (of.has_bias) all.insert(all.end(), {{w}, {w}});
    if (of.has_first) all.insert(all.end(), of.has_c ? 2 : 1, {b, n});
    if (of.has_lengths) all.push_back({b});
    return all;
  };
  OpCase row{
      .name = name,
      .inputs = {},
      .op =
          [of, results](const Tensors& t) {
            RecurrentWeights w{t[1], t[2], {}, {}};
            if (of.has_bias) w.input_bias = t[3], w.hidden_bias = t[4];
            const auto parts = results(t, w, {of.has_lengths ? t.back() : Tensor(), of.order});
            const Tensor& y = parts[0];
            std::vector<Tensor> flat{reshape(y, {y.size(0), y.size(1) * y.size(2)})};
            flat.insert(flat.end(), parts.begin() + 1, parts.end());
            return concat(flat, 1);
          },
      .reference = [of](const Arrays& in) { return layer_reference(of, in); },
      .tolerance = 1e-5,
      .roundings = 4 * static_cast<int>(steps),  // states are rounded in every step
      .differentiable_once = name.substr(0, name.find('_')),
      .empty_shapes = shapes(0, steps, width, hidden),
      .one_shapes = shapes(1, steps, 1, 1)};
  for (const Shape& shape : shapes(batch, steps, width, hidden))
    row.inputs.push_back(real(shape, -1, 1));
  if (of.has_lengths) row.inputs.back() = integers({batch}, 0, steps + 1);
  return row;
}

OpCase lstm_case(const std::string& name, Layer of, int64_t batch, int64_t steps, int64_t width,
                 int64_t hidden) {
  of.gates = 4;
  of.unit = lstm_unit;
  of.has_c = true;
  return layer_case(
      "lstm_" + name, of,
      [of](const Tensors& t, const RecurrentWeights& w, const RecurrentOptions& options) {
        const auto [y, h, c] = lstm(t[0], w, of.first(t, 0), of.first(t, 1), options);
        return std::vector{y, h, c};
      },
      batch, steps, width, hidden);
}

OpCase gru_case(const std::string& name, Layer of, int64_t batch, int64_t steps, int64_t width,
                int64_t hidden) {
  of.gates = 3;
  of.unit = gru_unit;
  return layer_case(
      "gru_" + name, of,
      [of](const Tensors& t, const RecurrentWeights& w, const RecurrentOptions& options) {
        const auto [y, h] = gru(t[0], w, of.first(t, 0), options);
        return std::vector{y, h};
      },
      batch, steps, width, hidden);
}

OpCase rnn_case(const std::string& name, Layer of, Nonlinearity nonlinearity) {
  of.gates = 1;
  of.unit = [nonlinearity](const double* x, const double* r, double& h, double&) {
    const double v = x[0] + r[0];
    h = nonlinearity == Nonlinearity::kRelu ? std::max(v, 0.0) : std::tanh(v);
  };
  return layer_case(
      "rnn_" + name, of,
      [of, nonlinearity](const Tensors& t, const RecurrentWeights& w,
                         const RecurrentOptions& options) {
        const auto [y, h] = rnn(t[0], w, of.first(t, 0), nonlinearity, options);
        return std::vector{y, h};
      },
      3, 4, 2, 5);
}

OpCase group_norm_case(const std::string& name, const Shape& shape, int64_t groups,
                       bool has_factors) {
  constexpr double kEps = 1e-3;
  const Shape features{shape.back()};
  Shape none = shape;
  none[0] = 0;
  OpCase row{.name = "group_norm_" + name,
             .inputs = {real(shape)},
             .op =
                 [=](const Tensors& in) {
                   const Tensor gamma = has_factors ? in[1] : Tensor();
                   return group_norm(in[0], groups, gamma, has_factors ? in[2] : Tensor(), kEps);
                 },
             .reference =
                 [=](const Arrays& in) {
                   Array y = in[0];
                   const int64_t batch = y.shape[0], channels = y.shape.back();
                   const int64_t image = batch > 0 ? y.shape.product() / batch : 0;
                   const int64_t width = channels / groups;
                   const double count = double(image / groups);
                   for (int64_t n = 0; n < batch * groups; ++n) {
                     double mean = 0, var = 0;
                     const auto each = [&](const auto& fn) {
                       for (int64_t i = 0; i < image; ++i) {
                         const int64_t c = i % channels;
                         if (c / width == n % groups) fn(y[n / groups * image + i], c);
                       }
                     };
                     each([&](double v, int64_t) { mean += v / count; });
                     each([&](double v, int64_t) { var += (v - mean) * (v - mean) / count; });
                     each([&](double& v, int64_t c) {
                       v = (v - mean) / std::sqrt(var + kEps);
                       if (has_factors) v = v * in[1][c] + in[2][c];
                     });
                   }
                   return y;
                 },
             .tolerance = 1e-5,
             .empty_shapes = {{none}},
             .one_shapes = kNotApplicable};  // groups must divide the channels
  if (has_factors) {
    for (int i = 0; i < 2; ++i) {
      row.inputs.push_back(real(features));
      row.empty_shapes->push_back(features);
    }
  }
  return row;
}

}  // namespace

std::vector<OpCase> recurrent_cases() {
  constexpr TimeOrder kBackward = TimeOrder::kBackward;
  return {
      lstm_case("plain", {}, 2, 3, 3, 4),
      lstm_case("wide", {}, 3, 2, 5, 19),
      lstm_case("backward", {.order = kBackward}, 2, 3, 3, 4),
      lstm_case("lengths", {.has_lengths = true}, 4, 3, 2, 3),
      lstm_case("lengths_backward", {.has_lengths = true, .order = kBackward}, 4, 3, 2, 8),
      lstm_case("no_bias", {.has_bias = false}, 1, 2, 3, 2),
      lstm_case("no_states", {.has_first = false}, 2, 3, 3, 4),
      lstm_case("no_states_backward", {.has_lengths = true, .order = kBackward, .has_first = false},
                3, 3, 2, 3),
      gru_case("plain", {}, 2, 3, 3, 4),
      gru_case("wide", {}, 3, 2, 5, 19),
      gru_case("backward", {.order = kBackward}, 2, 3, 3, 4),
      gru_case("lengths", {.has_lengths = true}, 4, 3, 2, 8),
      gru_case("lengths_backward", {.has_lengths = true, .order = kBackward}, 4, 3, 2, 3),
      gru_case("no_bias", {.has_bias = false}, 1, 2, 3, 2),
      gru_case("no_states", {.has_first = false}, 2, 3, 3, 4),
      gru_case("no_states_backward", {.has_lengths = true, .order = kBackward, .has_first = false},
               3, 3, 2, 3),
      rnn_case("tanh", {}, Nonlinearity::kTanh),
      rnn_case("relu", {.has_lengths = true}, Nonlinearity::kRelu),
      rnn_case("backward", {.order = kBackward}, Nonlinearity::kTanh),
      rnn_case("no_bias", {.has_bias = false}, Nonlinearity::kRelu),
      rnn_case("no_states", {.has_first = false}, Nonlinearity::kTanh),
      rnn_case("no_states_lengths", {.has_lengths = true, .has_first = false}, Nonlinearity::kRelu),
      group_norm_case("images", {2, 3, 2, 8}, 2, true),
      group_norm_case("wide", {3, 5, 32}, 4, true),
      group_norm_case("ragged", {2, 5, 21}, 3, true),
      group_norm_case("plain", {2, 4, 6}, 6, false),
      group_norm_case("rows", {3, 6}, 2, true),
      group_norm_case("one_group", {2, 7, 3}, 1, true),
  };
}

}  // namespace trireme::testing
