// Rows of attention: below, at and beyond the kernel's block of 64 queries, with everything that
// masks or drops.

#include <cmath>
#include <functional>
#include <limits>

#include "core/ops/ops.h"
#include "tests/ops/op_cases.h"

namespace trireme::testing {
namespace {

/// CUDA rounds the weights of 16-bit operands to 16 bits before they multiply v (attention.h).
constexpr int kRoundedWeights = 1;
constexpr double kMasked = -std::numeric_limits<double>::infinity();

/// Where the element (batch, head, time, d) of an operand lies.
struct Layout {
  int64_t heads, time, head_dim, batch_stride, head_stride, time_stride, offset;

  int64_t at(int64_t b, int64_t h, int64_t t, int64_t d) const {
    return offset + b * batch_stride + h * head_stride + t * time_stride + d;
  }
};
Layout dense_layout(const Shape& s) {
  return {s[1], s[2], s[3], s[1] * s[2] * s[3], s[2] * s[3], s[3], 0};
}

/// A pair of query and key: what is added to its score, what its weight is multiplied by.
using OfPair = std::function<double(int64_t b, int64_t h, int64_t i, int64_t j)>;

void attend(const Array& q, const Layout& lq, const Array& k, const Layout& lk, const Array& v,
            const Layout& lv, Array& y, const Layout& ly, int64_t batch, const OfPair& added,
            const OfPair& factor, double scale) {
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t h = 0; h < lq.heads; ++h) {
      const int64_t kv = h * lk.heads / lq.heads;
      for (int64_t i = 0; i < lq.time; ++i) {
        std::vector<double> weight;
        double sum = 0;
        for (int64_t j = 0; j < lk.time; ++j) {
          double score = 0;
          for (int64_t d = 0; d < lq.head_dim; ++d) {
            score += q[lq.at(b, h, i, d)] * k[lk.at(b, kv, j, d)];
          }
          weight.push_back(std::exp(score * scale + added(b, h, i, j)));
          sum += weight.back();
        }
        if (sum == 0) continue;  // y is zero
        for (int64_t d = 0; d < lq.head_dim; ++d) {
          double mean = 0;
          for (int64_t j = 0; j < lk.time; ++j) {
            mean +=
                weight[static_cast<size_t>(j)] / sum * factor(b, h, i, j) * v[lv.at(b, kv, j, d)];
          }
          y[ly.at(b, h, i, d)] = mean;
        }
      }
    }
  }
}

double root_scale(int64_t head_dim) { return 1 / std::sqrt(static_cast<double>(head_dim)); }
OfPair always(double value) {
  return [=](int64_t, int64_t, int64_t, int64_t) { return value; };
}
OfPair future_masked(int64_t queries, int64_t keys) {
  return
      [=](int64_t, int64_t, int64_t i, int64_t j) { return j > i + keys - queries ? kMasked : 0; };
}

/// kv_heads = 0: as many as q has.
OpCase separate_case(const std::string& name, const Shape& q, int64_t keys,
                     AttentionOptions options, int64_t kv_heads = 0) {
  Shape kv = q, no_q = q;
  kv[2] = keys;
  if (kv_heads > 0) kv[1] = kv_heads;
  Shape no_kv = kv;
  no_q[2] = no_kv[2] = 0;
  return {.name = "attention_" + name,
          .inputs = {real(q), real(kv), real(kv)},
          .op =
              [options](const Tensors& in) {
                return scaled_dot_product_attention(in[0], in[1], in[2], options);
              },
          .reference =
              [options](const Arrays& in) {
                const Layout l = dense_layout(in[0].shape), lk = dense_layout(in[1].shape);
                Array y = Array::zeros(in[0].shape);
                attend(in[0], l, in[1], lk, in[2], lk, y, l, in[0].shape[0],
                       options.causal ? future_masked(l.time, lk.time) : always(0), always(1),
                       options.scale.value_or(root_scale(l.head_dim)));
                return y;
              },
          .more_roundings_on_cuda = kRoundedWeights,
          .differentiable_once = "scaled_dot_product_attention",
          .empty_shapes = {{no_q, no_kv, no_kv}}};
}

/// What a mask that broadcasts to [batch, heads, queries, keys] adds to the scores.
OfPair mask_of(const Array& mask, bool additive) {
  return [&mask, additive](int64_t b, int64_t h, int64_t i, int64_t j) {
    const Shape& s = mask.shape;
    const int64_t index[] = {b, h, i, j};
    int64_t at = 0;
    for (int d = 0; d < s.rank(); ++d) {
      at = at * s[d] + (s[d] == 1 ? 0 : index[4 - s.rank() + d]);
    }
    const double m = mask[at];
    return additive ? m : m != 0 ? 0 : kMasked;
  };
}

/// `mask_shape` broadcasts to [batch, heads, queries, keys]. A bool mask of random bits leaves some
/// query without any key where keys are few.
OpCase masked_case(const std::string& name, const Shape& q, const Shape& mask_shape, bool additive,
                   bool causal, int64_t kv_heads = 0) {
  OpInput mask = additive ? real(mask_shape) : booleans(mask_shape);
  mask.needs_grad = false;
  Shape kv = q, no_q = q;
  if (kv_heads > 0) kv[1] = kv_heads;
  Shape no_kv = kv;
  no_q[0] = no_kv[0] = 0;
  Shape no_mask = mask_shape;
  if (mask_shape.rank() == 4 && mask_shape[0] > 1) no_mask[0] = 0;
  return {.name = "attention_masked_" + name,
          .inputs = {real(q), real(kv), real(kv), mask},
          .op =
              [causal](const Tensors& in) {
                return scaled_dot_product_attention(in[0], in[1], in[2],
                                                    {.causal = causal, .mask = in[3]});
              },
          .reference =
              [additive, causal](const Arrays& in) {
                const Layout l = dense_layout(in[0].shape), lk = dense_layout(in[1].shape);
                const OfPair future = causal ? future_masked(l.time, l.time) : always(0);
                const OfPair masked = mask_of(in[3], additive);
                const OfPair added = [&](int64_t b, int64_t h, int64_t i, int64_t j) {
                  return future(b, h, i, j) + masked(b, h, i, j);
                };
                Array y = Array::zeros(in[0].shape);
                attend(in[0], l, in[1], lk, in[2], lk, y, l, in[0].shape[0], added, always(1),
                       root_scale(l.head_dim));
                return y;
              },
          .more_roundings_on_cuda = kRoundedWeights,
          .differentiable_once = "scaled_dot_product_attention",
          .empty_shapes = {{no_q, no_kv, no_kv, no_mask}}};
}

constexpr uint64_t kSeed = 31, kFirst = 5;
constexpr double kDropout = 0.3;

/// What the generator's state makes of a weight: dropped, or larger.
OfPair dropout_of(int64_t batch, int64_t heads, int64_t kv_heads, int64_t queries, int64_t keys) {
  return [=](int64_t b, int64_t h, int64_t i, int64_t j) {
    // Query heads that share no key head stand together: the first of each, then the second ..
    const int64_t n = heads / kv_heads, place = (h % n * batch + b) * kv_heads + h / n;
    const int64_t counter = (place * keys + j) * ((queries + 3) / 4) + i / 4;
    const auto words = philox(kSeed, kFirst + static_cast<uint64_t>(counter));
    const float u = to_uniform(words[static_cast<size_t>(i % 4)]);
    return static_cast<double>(u) < kDropout ? 0 : 1 / (1 - kDropout);
  };
}

OpCase dropped_case(const std::string& name, const Shape& q, int64_t keys, bool causal,
                    int64_t kv_heads = 0) {
  OpCase row = separate_case("dropped_" + name, q, keys, {}, kv_heads);
  row.op = [causal](const Tensors& in) {
    Generator generator(kSeed);
    generator.set_offset(kFirst);
    return scaled_dot_product_attention(
        in[0], in[1], in[2], {.causal = causal, .dropout = kDropout, .generator = &generator});
  };
  row.reference = [causal](const Arrays& in) {
    const Layout l = dense_layout(in[0].shape), lk = dense_layout(in[1].shape);
    Array y = Array::zeros(in[0].shape);
    attend(in[0], l, in[1], lk, in[2], lk, y, l, in[0].shape[0],
           causal ? future_masked(l.time, lk.time) : always(0),
           dropout_of(in[0].shape[0], l.heads, lk.heads, l.time, lk.time), root_scale(l.head_dim));
    return y;
  };
  return row;
}

enum class Mask { kNone, kBool, kAdded };
struct Packed {
  int kv_heads = 0;  // 0: as many as heads
  bool causal = true;
  std::optional<double> scale = {};
  Mask mask = Mask::kNone;  // [batch, 1, time, time]
  bool drops = false;
};

OpCase packed_case(const std::string& name, const Shape& shape, int heads, const Packed& of = {}) {
  const int kv = of.kv_heads > 0 ? of.kv_heads : heads;
  Shape none = shape;
  none[1] = 0;
  OpCase row{.name = "attention_qkv_" + name,
             .inputs = {real(shape)},
             .op =
                 [=](const Tensors& in) {
                   Generator generator(kSeed);
                   generator.set_offset(kFirst);
                   AttentionOptions options{.causal = of.causal, .scale = of.scale};
                   if (of.mask != Mask::kNone) options.mask = in[1];
                   if (of.drops) options.dropout = kDropout, options.generator = &generator;
                   return scaled_dot_product_attention_qkv(in[0], heads, options, of.kv_heads);
                 },
             .reference =
                 [=](const Arrays& in) {
                   const Shape& s = in[0].shape;
                   const int64_t head_dim = s[2] / (heads + 2 * kv), width = heads * head_dim;
                   const auto part = [&](int64_t first, int64_t count, int64_t stride) {
                     return Layout{count,    s[1],   head_dim,        s[1] * stride,
                                   head_dim, stride, first * head_dim};
                   };
                   const OfPair future = of.causal ? future_masked(s[1], s[1]) : always(0);
                   const OfPair masked =
                       of.mask == Mask::kNone ? always(0) : mask_of(in[1], of.mask == Mask::kAdded);
                   const OfPair added = [&](int64_t b, int64_t h, int64_t i, int64_t j) {
                     return future(b, h, i, j) + masked(b, h, i, j);
                   };
                   Array y = Array::zeros({s[0], s[1], width});
                   attend(in[0], part(0, heads, s[2]), in[0], part(heads, kv, s[2]), in[0],
                          part(heads + kv, kv, s[2]), y, part(0, heads, width), s[0], added,
                          of.drops ? dropout_of(s[0], heads, kv, s[1], s[1]) : always(1),
                          of.scale.value_or(root_scale(head_dim)));
                   return y;
                 },
             .more_roundings_on_cuda = kRoundedWeights,
             .differentiable_once = "scaled_dot_product_attention_qkv",
             .empty_shapes = {{none}},
             .one_shapes = {{{1, 1, heads + 2 * kv}}}};
  if (of.mask != Mask::kNone) {
    const Shape mask{shape[0], 1, shape[1], shape[1]};
    row.inputs.push_back(of.mask == Mask::kAdded ? real(mask) : booleans(mask));
    row.inputs.back().needs_grad = false;
    row.empty_shapes->push_back({shape[0], 1, 0, 0});
    row.one_shapes->push_back({1, 1, 1, 1});
  }
  return row;
}

}  // namespace

std::vector<OpCase> attention_cases() {
  const AttentionOptions causal{.causal = true};
  return {
      separate_case("causal_short", {2, 2, 5, 3}, 5, causal),
      separate_case("causal_one_block", {1, 1, 64, 2}, 64, causal),
      separate_case("causal_odd", {1, 2, 67, 3}, 67, causal),
      separate_case("causal_three_blocks", {1, 1, 130, 2}, 130, causal),
      separate_case("causal_more_keys", {2, 1, 3, 2}, 70, causal),
      separate_case("causal_odd_start", {1, 1, 70, 2}, 101, causal),
      separate_case("causal_more_queries", {1, 2, 70, 2}, 3, causal),
      separate_case("all_short", {2, 2, 5, 3}, 7, {}),
      separate_case("all_odd", {1, 2, 67, 3}, 66, {}),
      separate_case("all_scaled", {1, 2, 4, 3}, 3, {.scale = 0.25}),
      masked_case("few_keys", {2, 2, 3, 3}, {2, 2, 3, 3}, false, false),
      masked_case("keys_alone", {2, 2, 66, 2}, {2, 1, 1, 66}, false, false),
      masked_case("causal", {1, 2, 66, 2}, {66, 66}, false, true),
      masked_case("added", {2, 2, 65, 2}, {1, 2, 65, 65}, true, false),
      masked_case("added_causal", {2, 1, 5, 2}, {5, 1}, true, true),
      dropped_case("all", {2, 2, 6, 3}, 5, false),
      dropped_case("causal_odd", {1, 2, 67, 3}, 67, true),
      packed_case("short", {2, 5, 12}, 2),
      packed_case("odd", {1, 67, 18}, 2),
      packed_case("wide_head", {1, 3, 300}, 1),
      packed_case("all", {2, 5, 12}, 2, {.causal = false}),
      packed_case("scaled", {2, 5, 12}, 2, {.scale = 0.25}),
      packed_case("masked", {2, 5, 12}, 2, {.causal = false, .mask = Mask::kBool}),
      packed_case("masked_causal", {1, 67, 18}, 2, {.mask = Mask::kAdded}),
      packed_case("dropped", {2, 6, 18}, 2, {.drops = true}),
      packed_case("dropped_all", {1, 67, 18}, 2, {.causal = false, .drops = true}),
      packed_case("grouped_masked_dropped", {2, 5, 24}, 4,
                  {.kv_heads = 2, .scale = 0.5, .mask = Mask::kAdded, .drops = true}),
      // In 16 bits for cuDNN's fused kernels; tests/gpu/attention_test.cc has longer ones.
      packed_case("head_of_8", {2, 5, 48}, 2),
      packed_case("head_of_64", {1, 5, 384}, 2),
      packed_case("head_of_128", {1, 3, 384}, 1),
      separate_case("one_query_head_of_64", {2, 2, 1, 64}, 7, causal),
      separate_case("head_of_64", {1, 2, 5, 64}, 7, {}),
      separate_case("causal_head_of_64", {1, 2, 5, 64}, 5, causal),
      separate_case("causal_head_of_128", {1, 1, 4, 128}, 4, causal),
      // Fewer heads of keys and values than of queries.
      separate_case("grouped", {2, 4, 5, 3}, 7, {}, 2),
      separate_case("grouped_causal_odd", {1, 6, 67, 2}, 67, causal, 2),
      separate_case("grouped_one", {2, 3, 4, 2}, 4, causal, 1),
      masked_case("grouped", {2, 4, 5, 2}, {2, 4, 5, 5}, true, false, 2),
      masked_case("grouped_bool", {1, 4, 6, 2}, {1, 1, 6, 6}, false, true, 2),
      dropped_case("grouped", {2, 4, 6, 3}, 5, false, 2),
      packed_case("grouped", {2, 5, 24}, 4, {.kv_heads = 2}),
      packed_case("grouped_head_of_8", {2, 5, 64}, 4, {.kv_heads = 2}),
      packed_case("grouped_head_of_64", {1, 5, 384}, 4, {.kv_heads = 1}),
      separate_case("grouped_head_of_64", {2, 4, 5, 64}, 7, {}, 2),
      separate_case("grouped_head_of_128", {1, 2, 4, 128}, 4, causal, 1),
      separate_case("grouped_one_query", {2, 4, 1, 64}, 7, causal, 2),
      packed_case("grouped_one_query", {2, 1, 512}, 4, {.kv_heads = 2}),
  };
}

}  // namespace trireme::testing
