// Rows of the neural network ops.

#include <cmath>
#include <limits>

#include "core/ops/ops.h"
#include "tests/ops/op_cases.h"

namespace trireme::testing {
namespace {

/// Calls fn(first element, distance, count) for every line of `shape` along dimension `dim`.
template <typename Fn>
void each_line(const Shape& shape, int dim, const Fn& fn) {
  int64_t outer = 1, inner = 1;
  for (int d = 0; d < dim; ++d) outer *= shape[d];
  for (int d = dim + 1; d < shape.rank(); ++d) inner *= shape[d];
  for (int64_t o = 0; o < outer; ++o) {
    for (int64_t i = 0; i < inner; ++i) fn(o * shape[dim] * inner + i, inner, shape[dim]);
  }
}

Reference log_softmax_reference(int dim) {
  return [dim](const Arrays& in) {
    Array y = in[0];
    each_line(y.shape, dim, [&](int64_t at, int64_t step, int64_t count) {
      double sum = 0;
      for (int64_t i = 0; i < count; ++i) sum += std::exp(y[at + i * step]);
      for (int64_t i = 0; i < count; ++i) y[at + i * step] -= std::log(sum);
    });
    return y;
  };
}
Reference softmax_reference(int dim) {
  return [dim](const Arrays& in) {
    Array y = log_softmax_reference(dim)(in);
    for (double& v : y.values) v = std::exp(v);
    return y;
  };
}

OpCase softmax_case(const std::string& name, const Shape& shape, int dim, int from_front) {
  return {.name = "softmax_" + name,
          .inputs = {real(shape, -5, 5)},
          .op = [dim](const Tensors& in) { return softmax(in[0], dim); },
          .reference = softmax_reference(from_front)};
}
OpCase log_softmax_case(const std::string& name, const Shape& shape, int dim, int from_front) {
  return {.name = "log_softmax_" + name,
          .inputs = {real(shape, -5, 5)},
          .op = [dim](const Tensors& in) { return log_softmax(in[0], dim); },
          .reference = log_softmax_reference(from_front)};
}

/// `padding` more columns stand behind those of the classes.
OpCase cross_entropy_case(const std::string& name, const Shape& rows, DType ids, int64_t ignored,
                          int64_t padding = 0) {
  constexpr int64_t kClasses = 5;
  const auto with_classes = [padding](Shape shape) {
    shape.push_back(kClasses + padding);
    return shape;
  };
  Shape none = rows, one = Dims::filled(rows.rank(), 1);
  none[0] = 0;
  return {.name = "cross_entropy_" + name,
          .inputs = {real(with_classes(rows)), integers(rows, 0, kClasses, ids)},
          .op =
              [ignored, padding](const Tensors& in) {
                return cross_entropy(in[0], in[1], ignored, padding > 0 ? kClasses : 0);
              },
          .reference =
              [ignored, padding](const Arrays& in) {
                Array logits = Array::zeros({in[1].shape.product(), kClasses});
                for (int64_t i = 0; i < logits.shape.product(); ++i) {
                  logits[i] = in[0][i / kClasses * (kClasses + padding) + i % kClasses];
                }
                const Array log_p = log_softmax_reference(1)({logits});
                double sum = 0, count = 0;
                for (int64_t r = 0; r < in[1].shape.product(); ++r) {
                  const auto target = static_cast<int64_t>(in[1][r]);
                  if (target == ignored) continue;
                  sum -= log_p[r * kClasses + target];
                  count += 1;
                }
                return Array{{}, {sum / count}};
              },
          .widens = true,
          .empty_shapes = {{with_classes(none), none}},
          .one_shapes = {{with_classes(one), one}}};
}

OpCase layer_norm_case(const std::string& name, const Shape& shape, bool has_gamma, bool has_beta) {
  constexpr double kEps = 1e-3;
  const Shape features{shape.back()};
  Shape none = shape;
  none[0] = 0;
  OpCase row{.name = "layer_norm_" + name,
             .inputs = {real(shape)},
             .op =
                 [=](const Tensors& in) {
                   const Tensor gamma = has_gamma ? in[1] : Tensor();
                   return layer_norm(in[0], gamma, has_beta ? in.back() : Tensor(), kEps);
                 },
             .reference =
                 [=](const Arrays& in) {
                   Array y = in[0];
                   each_line(y.shape, y.shape.rank() - 1,
                             [&](int64_t at, int64_t /*step*/, int64_t n) {
                               double mean = 0, var = 0;
                               for (int64_t i = 0; i < n; ++i) mean += y[at + i] / double(n);
                               for (int64_t i = 0; i < n; ++i) {
                                 var += std::pow(y[at + i] - mean, 2) / double(n);
                               }
                               for (int64_t i = 0; i < n; ++i) {
                                 double& v = y[at + i];
                                 v = (v - mean) / std::sqrt(var + kEps);
                                 if (has_gamma) v *= in[1][i];
                                 if (has_beta) v += in.back()[i];
                               }
                             });
                   return y;
                 },
             .tolerance = 1e-5,
             .empty_shapes = {{none}}};
  for (bool present : {has_gamma, has_beta}) {
    if (!present) continue;
    row.inputs.push_back(real(features));
    row.empty_shapes->push_back(features);
  }
  return row;
}

OpCase rms_norm_case(const std::string& name, const Shape& shape, bool has_gamma) {
  constexpr double kEps = 1e-3;
  Shape none = shape;
  none[0] = 0;
  OpCase row{
      .name = "rms_norm_" + name,
      .inputs = {real(shape)},
      .op = [=](const Tensors& in) { return rms_norm(in[0], has_gamma ? in[1] : Tensor(), kEps); },
      .reference =
          [=](const Arrays& in) {
            Array y = in[0];
            each_line(y.shape, y.shape.rank() - 1, [&](int64_t at, int64_t /*step*/, int64_t n) {
              double square = 0;
              for (int64_t i = 0; i < n; ++i) {
                square += y[at + i] * y[at + i] / double(n);
              }
              for (int64_t i = 0; i < n; ++i) {
                double& v = y[at + i];
                v /= std::sqrt(square + kEps);
                if (has_gamma) v *= in[1][i];
              }
            });
            return y;
          },
      .tolerance = 1e-5,
      .empty_shapes = {{none}}};
  if (has_gamma) {
    row.inputs.push_back(real({shape.back()}));
    row.empty_shapes->push_back({shape.back()});
  }
  return row;
}

OpCase embedding_case(const std::string& name, const Shape& ids, DType dtype) {
  constexpr int64_t kVocabulary = 4;
  Shape none = ids;
  none[0] = 0;
  return {.name = "embedding_" + name,
          .inputs = {real({kVocabulary, 3}), integers(ids, 0, kVocabulary, dtype)},
          .op = [](const Tensors& in) { return embedding(in[0], in[1]); },
          .reference =
              [](const Arrays& in) {
                Shape shape = in[1].shape;
                const int64_t features = in[0].shape.back();
                shape.push_back(features);
                Array y = Array::zeros(shape);
                for (int64_t i = 0; i < shape.product(); ++i) {
                  const auto id = static_cast<int64_t>(in[1][i / features]);
                  y[i] = in[0][id * features + i % features];
                }
                return y;
              },
          .empty_shapes = {{{kVocabulary, 3}, none}},
          .one_shapes = {{{kVocabulary, 1}, Dims::filled(ids.rank(), 1)}}};
}

/// The mask is stated anew: element i takes word i % 4 of block i / 4 of the stream.
OpCase dropout_case(const std::string& name, const Shape& shape, double p) {
  constexpr uint64_t kSeed = 7, kFirst = 100;
  return {.name = "dropout_" + name,
          .inputs = {real(shape)},
          .op =
              [p](const Tensors& in) {
                Generator generator(kSeed);
                generator.set_offset(kFirst);
                return dropout(in[0], p, generator);
              },
          .reference =
              [p](const Arrays& in) {
                Array y = in[0];
                for (int64_t i = 0; i < y.shape.product(); ++i) {
                  const auto block = philox(kSeed, kFirst + static_cast<uint64_t>(i / 4));
                  const bool drop = to_uniform(block[static_cast<size_t>(i % 4)]) < p;
                  y[i] = drop ? 0 : y[i] / (1 - p);
                }
                return y;
              }};
}

}  // namespace

std::vector<OpCase> network_cases() {
  constexpr int64_t kNone = -100;
  return {
      softmax_case("last", {3, 21}, -1, 1),
      softmax_case("vector", {5}, 0, 0),
      softmax_case("first", {4, 3}, 0, 0),
      softmax_case("middle", {2, 4, 3}, 1, 1),
      log_softmax_case("last", {3, 21}, -1, 1),
      log_softmax_case("first", {4, 3}, 0, 0),
      cross_entropy_case("rows", {7}, DType::kI64, kNone),
      cross_entropy_case("batch_i32", {2, 3}, DType::kI32, kNone),
      cross_entropy_case("ignoring", {9}, DType::kI64, 2),
      cross_entropy_case("padded", {2, 4}, DType::kI64, kNone, 3),
      layer_norm_case("both", {5, 19}, true, true),
      layer_norm_case("gamma_only", {2, 3, 4}, true, false),
      layer_norm_case("beta_only", {3, 4}, false, true),
      layer_norm_case("plain", {3, 4}, false, false),
      layer_norm_case("many_rows", {50, 3}, true, true),
      rms_norm_case("gamma", {5, 19}, true),
      rms_norm_case("plain", {2, 3, 4}, false),
      rms_norm_case("many_rows", {50, 3}, true),
      embedding_case("batch", {2, 5}, DType::kI64),
      embedding_case("i32", {6}, DType::kI32),
      dropout_case("third", {7, 3}, 0.3),
      dropout_case("blocks", {300}, 0.5),
      dropout_case("nothing", {4}, 0),
  };
}

}  // namespace trireme::testing
