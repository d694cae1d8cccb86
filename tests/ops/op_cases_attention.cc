// Rows of causal attention: below, at and beyond the kernel's block of 64 queries.

#include <cmath>

#include "core/ops/ops.h"
#include "tests/ops/op_cases.h"

namespace trireme::testing {
namespace {

/// Where the element (batch, head, time, d) of an operand lies.
struct Layout {
  int64_t heads, time, head_dim, batch_stride, head_stride, time_stride, offset;

  int64_t at(int64_t b, int64_t h, int64_t t, int64_t d) const {
    return offset + b * batch_stride + h * head_stride + t * time_stride + d;
  }
};

void attend(const Array& q, const Layout& lq, const Array& k, const Layout& lk, const Array& v,
            const Layout& lv, Array& y, const Layout& ly, int64_t batch) {
  const double scale = 1 / std::sqrt(static_cast<double>(lq.head_dim));
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t h = 0; h < lq.heads; ++h) {
      for (int64_t i = 0; i < lq.time; ++i) {
        std::vector<double> weight;
        double sum = 0;
        for (int64_t j = 0; j <= i; ++j) {
          double score = 0;
          for (int64_t d = 0; d < lq.head_dim; ++d) {
            score += q[lq.at(b, h, i, d)] * k[lk.at(b, h, j, d)];
          }
          weight.push_back(std::exp(score * scale));
          sum += weight.back();
        }
        for (int64_t d = 0; d < lq.head_dim; ++d) {
          double mean = 0;
          for (int64_t j = 0; j <= i; ++j) {
            mean += weight[static_cast<size_t>(j)] / sum * v[lv.at(b, h, j, d)];
          }
          y[ly.at(b, h, i, d)] = mean;
        }
      }
    }
  }
}

OpCase separate_case(const std::string& name, const Shape& shape) {
  Shape none = shape;
  none[2] = 0;
  return {.name = "causal_attention_" + name,
          .inputs = {real(shape), real(shape), real(shape)},
          .op = [](const Tensors& in) { return causal_attention(in[0], in[1], in[2]); },
          .reference =
              [](const Arrays& in) {
                const Shape& s = in[0].shape;
                const Layout l{s[1], s[2], s[3], s[1] * s[2] * s[3], s[2] * s[3], s[3], 0};
                Array y = Array::zeros(s);
                attend(in[0], l, in[1], l, in[2], l, y, l, s[0]);
                return y;
              },
          .roundings = 0,
          .empty_shapes = {{none, none, none}}};
}

OpCase packed_case(const std::string& name, const Shape& shape, int heads) {
  Shape none = shape;
  none[1] = 0;
  return {.name = "causal_attention_qkv_" + name,
          .inputs = {real(shape)},
          .op = [heads](const Tensors& in) { return causal_attention_qkv(in[0], heads); },
          .reference =
              [heads](const Arrays& in) {
                const Shape& s = in[0].shape;
                const int64_t width = s[2] / 3, head_dim = width / heads;
                const auto part = [&](int64_t offset, int64_t row) {
                  return Layout{heads, s[1], head_dim, s[1] * row, head_dim, row, offset};
                };
                Array y = Array::zeros({s[0], s[1], width});
                attend(in[0], part(0, s[2]), in[0], part(width, s[2]), in[0], part(2 * width, s[2]),
                       y, part(0, width), s[0]);
                return y;
              },
          .roundings = 0,
          .empty_shapes = {{none}},
          .one_shapes = {{{1, 1, 3 * heads}}}};
}

}  // namespace

std::vector<OpCase> attention_cases() {
  return {
      separate_case("short", {2, 2, 5, 3}),     separate_case("one_block", {1, 1, 64, 2}),
      separate_case("odd", {1, 2, 67, 3}),      separate_case("three_blocks", {1, 1, 130, 2}),
      packed_case("short", {2, 5, 12}, 2),      packed_case("odd", {1, 67, 18}, 2),
      packed_case("wide_head", {1, 3, 300}, 1),
  };
}

}  // namespace trireme::testing
