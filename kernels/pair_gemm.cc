#include "kernels/pair_gemm.h"

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <utility>

#include "kernels/simd.h"

namespace trireme::kernels {
namespace {

using detail::HalfBits;
using detail::WordBits;

constexpr int64_t kL = kLanes<float>;
// 6 x 4 sums, 4 vectors of B and one of A fill 29 of AVX-512's 32 registers.
constexpr int kTileRows = 6;

template <typename Bits>
Bits bits_at(const void* from) {
  Bits bits;
  std::memcpy(&bits, from, sizeof bits);
  return bits;
}

Vec<float> add_products(Vec<float> sum, WordBits a, WordBits b) {
#if defined(__AVX512BF16__)
  return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
#else
  const auto first = [](WordBits x) { return reinterpret_cast<Vec<float>>(x << 16); };
  const auto second = [](WordBits x) { return reinterpret_cast<Vec<float>>(x & 0xFFFF0000u); };
  return sum + second(a) * second(b) + first(a) * first(b);
#endif
}

template <int Rows, int Vectors>
void tile(int64_t pairs, PairRows a, const Pair* panel, float scale, float* c, int64_t c_row_stride,
          Write write) {
  Vec<float> sum[Rows][Vectors] = {};
  for (int64_t p = 0; p < pairs; ++p) {
    WordBits row[Vectors];
    for (int v = 0; v < Vectors; ++v) row[v] = bits_at<WordBits>(panel + v * kL);
    for (int i = 0; i < Rows; ++i) {
      const WordBits factor = bits_at<Pair>(a.data + i * a.row_stride) - WordBits{};
      for (int v = 0; v < Vectors; ++v) sum[i][v] = add_products(sum[i][v], factor, row[v]);
    }
    a.data += a.pair_stride;
    panel += kPanelCols;
  }
  // Unrolled, so that the sums stay in registers; g++ 12 would store them all first.
  const bool adds = write == Write::kAccumulate;
#pragma GCC unroll 6
  for (int i = 0; i < Rows; ++i, c += c_row_stride) {
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) {
      float* to = c + v * kL;
      store(to, sum[i][v] * scale + (adds ? load(to) : Vec<float>{}));
    }
  }
}

template <int Vectors>
void panel_product(int64_t m, int64_t pairs, PairRows a, const Pair* panel, float scale, float* c,
                   int64_t c_row_stride, Write write) {
  const auto rows = [&](auto count) {
    constexpr int kRows = decltype(count)::value;
    tile<kRows, Vectors>(pairs, a, panel, scale, c, c_row_stride, write);
    a.data += kRows * a.row_stride;
    c += kRows * c_row_stride;
    m -= kRows;
  };
  while (m >= kTileRows) rows(std::integral_constant<int, kTileRows>{});
  if (m >= 4) rows(std::integral_constant<int, 4>{});
  if (m >= 2) rows(std::integral_constant<int, 2>{});
  if (m >= 1) rows(std::integral_constant<int, 1>{});
}

/// Blocks of Step words change places across the diagonal of each square of 2 Step.
template <uint32_t Step, size_t... L>
[[gnu::always_inline]] inline void swap_blocks(WordBits (&rows)[kL], std::index_sequence<L...>) {
#pragma GCC unroll 16
  for (uint32_t i = 0; i < kL; ++i) {
    if ((i & Step) != 0) continue;
    const WordBits a = rows[i], b = rows[i + Step];
    rows[i] = __builtin_shufflevector(a, b, ((L & Step) != 0 ? kL + L - Step : L)...);
    rows[i + Step] = __builtin_shufflevector(a, b, ((L & Step) != 0 ? kL + L : L + Step)...);
  }
}

/// Word l of the result's row i is word i of row l. Inlined, so that the rows stay in registers.
template <uint32_t Step = kL / 2>
[[gnu::always_inline]] inline void transpose(WordBits (&rows)[kL]) {
  swap_blocks<Step>(rows, std::make_index_sequence<kL>());
  if constexpr (Step > 1) transpose<Step / 2>(rows);
}

/// Pair p of every column is made of the rows step * p and step * p + next.
void pack(HalfRows x, int64_t rows, int64_t cols, int64_t step, int64_t next, PairPanels to) {
  const auto elements = [](const BFloat16* from, int64_t count) {
    HalfBits bits = {};
    if (from && count > 0) std::memcpy(&bits, from, static_cast<size_t>(std::min(count, kL)) * 2);
    return detail::widen_bits(bits);
  };
  for (int64_t first = 0; first < cols; first += kPanelCols) {
    Pair* panel = to.data + first / kPanelCols * to.panel_stride;
    for (int64_t p = 0; step * p < rows; ++p) {
      const BFloat16* low = x.row(step * p) + first;
      const BFloat16* high = step * p + next < rows ? low + next * x.row_stride : nullptr;
      for (int64_t j = 0; j < kPanelCols; j += kL) {
        const int64_t left = cols - first - j;
        const WordBits pairs =
            high && left >= kL
                ? detail::widen_bits(bits_at<HalfBits>(low + j)) |
                      detail::widen_bits(bits_at<HalfBits>(high + j)) << 16
                : elements(low + j, left) | elements(high ? high + j : high, left) << 16;
        std::memcpy(panel + p * kPanelCols + j, &pairs, sizeof pairs);
      }
    }
  }
}

}  // namespace

void pack_rows(HalfRows x, int64_t rows, int64_t cols, PairPanels to) {
  pack(x, rows, cols, 2, 1, to);
}
void pack_rows_twice(HalfRows x, int64_t rows, int64_t cols, PairPanels to) {
  pack(x, rows, cols, 1, 0, to);
}

void split_in_pairs(const float* x, int64_t count, Pair* to) {
  constexpr uint32_t kLeading = 0xFFFF0000u;
  each_vector<float>(count, [&](int64_t i, auto part) {
    const Vec<float> value = part.load(x + i);
    const WordBits first = reinterpret_cast<WordBits>(value) & kLeading;
    const Vec<float> rest = value - reinterpret_cast<Vec<float>>(first);
    const WordBits both = first >> 16 | (reinterpret_cast<WordBits>(rest) & kLeading);
    part.store(reinterpret_cast<float*>(to + i), reinterpret_cast<Vec<float>>(both));
  });
}

void pack_transposed(HalfRows x, int64_t rows, int64_t cols, Pair* to) {
  if (rows < kPanelCols) std::fill_n(to, cols / 2 * kPanelCols, Pair{0});
  // 16 rows to their ends before the next: few streams of reads for the processor to run ahead of.
  for (int64_t i = 0; i < rows; i += kL) {
    for (int64_t p = 0; p < cols / 2; p += kL) {
      Pair* corner = to + p * kPanelCols + i;
      if (p + kL <= cols / 2 && i + kL <= rows) {
        WordBits square[kL];
        for (int64_t r = 0; r < kL; ++r) square[r] = bits_at<WordBits>(x.row(i + r) + 2 * p);
        transpose(square);
        for (int64_t r = 0; r < kL; ++r) {
          std::memcpy(corner + r * kPanelCols, &square[r], sizeof square[r]);
        }
        continue;
      }
      for (int64_t r = 0; r < std::min(kL, rows - i); ++r) {
        for (int64_t q = 0; q < std::min(kL, cols / 2 - p); ++q) {
          corner[q * kPanelCols + r] = bits_at<Pair>(x.row(i + r) + 2 * (p + q));
        }
      }
    }
  }
}

PairRows transposed_rows(PairPanels packed) {
  return {reinterpret_cast<const BFloat16*>(packed.data), 2, 2 * kPanelCols};
}

void pair_gemm(int64_t m, int64_t n, int64_t pairs, PairRows a, PairPanels b, float scale, float* c,
               int64_t c_row_stride, Write write) {
  constexpr int64_t kWidth = 4 * kL;
  static_assert(kPanelCols % kWidth == 0);
  for (int64_t j = 0; j < n; j += kWidth) {
    const Pair* panel = b.data + j / kPanelCols * b.panel_stride + j % kPanelCols;
    if (n - j <= kL) {
      panel_product<1>(m, pairs, a, panel, scale, c + j, c_row_stride, write);
    } else if (n - j <= 2 * kL) {
      panel_product<2>(m, pairs, a, panel, scale, c + j, c_row_stride, write);
    } else if (n - j <= 3 * kL) {
      panel_product<3>(m, pairs, a, panel, scale, c + j, c_row_stride, write);
    } else {
      panel_product<4>(m, pairs, a, panel, scale, c + j, c_row_stride, write);
    }
  }
}

}  // namespace trireme::kernels
