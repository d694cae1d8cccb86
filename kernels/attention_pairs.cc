#include "kernels/attention_pairs.h"

#include "kernels/half_rows.h"
#include "kernels/scratch.h"

namespace trireme::kernels {
namespace {

static_assert(kPanelCols == kQueries, "a block of scores is one panel");

HalfRows rows_of(Head<const BFloat16> x) { return {x.data, x.row_stride}; }
HalfRows rows_of(Head<const BFloat16> x, Block block) { return {x.row(block.begin), x.row_stride}; }
HalfRows rows_of(const BFloat16* scores) { return {scores, kQueries}; }

/// Rows of sums, padded_cols(head_dim) apart, as gradients.
void round_rows(const float* sums, int64_t rows, int64_t head_dim, Head<BFloat16> to) {
  const int64_t width = padded_cols(head_dim);
  for (int64_t t = 0; t < rows; ++t) convert_row(to.row(t), sums + t * width, head_dim);
}

/// scores[keys, queries] = scale keys queries^T where the mask leaves something; head_dim is that
/// of both, the queries are packed.
void multiply_heads(const Visibility<BFloat16>& sight, Block block, int64_t head_dim,
                    Head<const BFloat16> keys, Pair* queries, float scale, float* scores) {
  sight.each_run(block, [&](int64_t begin, int64_t end, int64_t from) {
    pair_gemm(end - begin, kQueries - from, head_dim / 2, {keys.row(begin), keys.row_stride, 2},
              {queries + from, 0}, scale, scores + begin * kQueries + from, kQueries,
              Write::kOverwrite);
  });
}

/// sums[keys, head_dim] (+)= weights[keys, queries] rows[queries, head_dim], the latter packed.
void add_over_queries(const Visibility<BFloat16>& sight, Block block, int64_t head_dim,
                      const BFloat16* weights, PairPanels rows, float* sums, Write write) {
  const int64_t width = padded_cols(head_dim);
  sight.each_run(block, [&](int64_t begin, int64_t end, int64_t from) {
    pair_gemm(end - begin, head_dim, pairs_of(block.count) - from / 2,
              as_pairs(rows_of(weights + begin * kQueries + from)),
              {rows.data + from / 2 * kPanelCols, rows.panel_stride}, 1, sums + begin * width,
              width, write);
  });
}

/// Calls fn(first, count, keys) for each strip of the block's queries, and the keys it sees.
template <typename Fn>
void each_strip(const Visibility<BFloat16>& sight, Block block, const Fn& fn) {
  for (int64_t i = 0; i < block.count; i += kStrip) {
    fn(i, std::min(kStrip, block.count - i), sight.seen_by_strip(block, i));
  }
}

/// Panels of [rows, cols] packed along the rows.
PairPanels panels(Pair* data, int64_t rows) { return {data, pairs_of(rows) * kPanelCols}; }

}  // namespace

void attention_in_pairs(const ForwardHead<BFloat16>& head) {
  const auto& [sight, head_dim, q, k, v, out, logsumexp] = head;
  const auto scale = static_cast<float>(sight.spec.scale);
  const int64_t width = padded_cols(head_dim);
  const PairPanels values{scratch<Pair>(Scratch::kGemmPanel, sight.keys * width),
                          sight.keys * kPanelCols};
  Pair* queries = scratch<Pair>(Scratch::kWidened, head_dim / 2 * kQueries);
  float* sums = scratch<float>(Scratch::kBlock, kQueries * width);
  float* scores = scratch<float>(Scratch::kScores, sight.keys * kQueries);
  auto* weights = reinterpret_cast<Pair*>(scores);
  pack_rows_twice(rows_of(v), sight.keys, head_dim, values);
  alignas(kVecBytes) float largest[kQueries], sum[kQueries];
  for (int64_t number = 0; number * kQueries < sight.queries; ++number) {
    const Block block = sight.block(number);
    pack_transposed(rows_of(q, block), block.count, head_dim, queries);
    multiply_heads(sight, block, head_dim, k, queries, scale, scores);
    head.softmax(block, scores, largest, sum);
    split_in_pairs(scores, block.keys * kQueries, weights);
    each_strip(sight, block, [&](int64_t first, int64_t count, int64_t keys) {
      pair_gemm(count, head_dim, keys, transposed_rows({weights + first, 0}), values, 1,
                sums + first * width, width, Write::kOverwrite);
    });
    head.finish(block, sums, width, largest, sum);
  }
}

void attention_in_pairs(const BackwardHead<BFloat16>& head) {
  const auto& [sight, head_dim, q, k, v, out, dout, logsumexp, dq, dk, dv] = head;
  const auto scale = static_cast<float>(sight.spec.scale);
  const int64_t width = padded_cols(head_dim), pairs = pairs_of(sight.keys);
  const int64_t transposed = head_dim / 2 * kQueries, rows = pairs_of(kQueries) * width;
  Pair* packed =
      scratch<Pair>(Scratch::kGemmPanel, pairs * (width + kQueries) + 2 * transposed + 2 * rows);
  const PairPanels keys = panels(packed, sight.keys);
  const PairPanels dscores_t = panels(keys.data + pairs * width, sight.keys);
  const PairPanels queries = panels(dscores_t.data + pairs * kQueries, kQueries);
  const PairPanels douts = panels(queries.data + rows, kQueries);
  Pair* queries_t = douts.data + rows;
  Pair* douts_t = queries_t + transposed;

  const int64_t block_scores = sight.keys * kQueries;
  float* scores = scratch<float>(Scratch::kScores, 2 * block_scores);
  float* dscores = scores + block_scores;
  BFloat16* weights = scratch<BFloat16>(Scratch::kWidened, 2 * block_scores);
  BFloat16* dweights = weights + block_scores;
  float* to_dk = scratch<float>(Scratch::kBlock, (2 * sight.keys + kQueries) * width);
  float* to_dv = to_dk + sight.keys * width;
  float* to_dq = to_dv + sight.keys * width;

  pack_rows(rows_of(k), sight.keys, head_dim, keys);
  // The last block sees every key, so taking it first lets it overwrite dk and dv.
  const int64_t last = (sight.queries - 1) / kQueries;
  for (int64_t number = last; number >= 0; --number) {
    const Block block = sight.block(number);
    const Write write = number == last ? Write::kOverwrite : Write::kAccumulate;
    const HalfRows block_q = rows_of(q, block), block_dout = rows_of(dout, block);
    pack_transposed(block_q, block.count, head_dim, queries_t);
    pack_transposed(block_dout, block.count, head_dim, douts_t);
    multiply_heads(sight, block, head_dim, k, queries_t, scale, scores);
    multiply_heads(sight, block, head_dim, v, douts_t, 1, dscores);
    head.softmax(block, scores, dscores, weights, dweights);
    pack_rows(block_q, block.count, head_dim, queries);
    pack_rows(block_dout, block.count, head_dim, douts);
    pack_rows(rows_of(dweights), block.keys, kQueries, dscores_t);
    add_over_queries(sight, block, head_dim, weights, douts, to_dv, write);
    add_over_queries(sight, block, head_dim, dweights, queries, to_dk, write);
    each_strip(sight, block, [&](int64_t first, int64_t count, int64_t seen) {
      pair_gemm(count, head_dim, pairs_of(seen),
                transposed_rows({dscores_t.data + first, dscores_t.panel_stride}), keys, 1,
                to_dq + first * width, width, Write::kOverwrite);
    });
    round_rows(to_dq, block.count, head_dim, {dq.row(block.begin), dq.row_stride});
  }
  round_rows(to_dk, sight.keys, head_dim, dk);
  round_rows(to_dv, sight.keys, head_dim, dv);
}

}  // namespace trireme::kernels
