#include "kernels/onednn_operands.h"

#include <algorithm>

#include "core/base/parallel_for.h"

namespace trireme::kernels {
namespace {

// Rows of k that a thread packs at a time: with 64 columns 32 KiB, twice.
constexpr int64_t kChunk = 256;
// k must be whole blocks of oneDNN's layout.
constexpr int64_t kBlock = 32;

}  // namespace

bool can_pack_right(const Operand<BFloat16>& b, int64_t k, int64_t n) {
  return (b.col_stride == 1 || b.row_stride == 1) && k % kBlock == 0 && n % kPanelCols == 0;
}

void pack_right(const Operand<BFloat16>& b, int64_t k, int64_t n, Pair* to) {
  const int64_t panel_stride = k / 2 * kPanelCols, chunks = (k + kChunk - 1) / kChunk;
  parallel_for(n / kPanelCols * chunks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t panel = unit / chunks, row = unit % chunks * kChunk;
      const int64_t rows = std::min(kChunk, k - row);
      const BFloat16* from = b.at(row, panel * kPanelCols);
      Pair* out = to + panel * panel_stride + row / 2 * kPanelCols;
      if (b.col_stride == 1) {
        pack_rows({from, b.row_stride}, rows, kPanelCols, {out, panel_stride});
      } else {
        pack_transposed({from, b.col_stride}, kPanelCols, rows, out);
      }
    }
  });
}

bool can_straighten_left(const Operand<BFloat16>& a, int64_t m, int64_t k) {
  return a.row_stride == 1 && a.col_stride > 1 && k % kTransposedRows == 0 &&
         m % (kTransposedRows / 2) == 0;
}

void straighten_left(const Operand<BFloat16>& a, int64_t m, int64_t k, BFloat16* to) {
  parallel_for(k / kTransposedRows, 1, [&](int64_t begin, int64_t end) {
    const int64_t first = begin * kTransposedRows;
    transpose_rows({a.at(0, first), a.col_stride}, (end - begin) * kTransposedRows, m, to + first,
                   k);
  });
}

}  // namespace trireme::kernels
