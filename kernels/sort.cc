#include "kernels/sort.h"

#include <algorithm>

#include "kernels/rows.h"
#include "kernels/scratch.h"

namespace trireme::kernels {
namespace {

// Columns differ, so no two entries are equal and any sort is stable.
template <typename Key>
struct Entry {
  Key key;
  int64_t column;
  bool operator<(const Entry& other) const {
    return key != other.key ? key < other.key : column < other.column;
  }
};

}  // namespace

template <typename T>
void sort_rows(Cpu, MatrixView<const T> x, Order order, int64_t k, int64_t* columns) {
  each_row(x.rows, x.cols, [&](int64_t r) {
    auto* const entries = scratch<Entry<SortKey<T>>>(Scratch::kBlock, x.cols);
    const T* const row = x.row(r);
    for (int64_t c = 0; c < x.cols; ++c) entries[c] = {sort_key(row[c], order), c};
    if (k < x.cols) std::nth_element(entries, entries + k, entries + x.cols);
    std::sort(entries, entries + k);
    for (int64_t j = 0; j < k; ++j) columns[r * k + j] = entries[j].column;
  });
}

#define TRIREME_INSTANTIATE(T) \
  template void sort_rows(Cpu, MatrixView<const T>, Order, int64_t, int64_t*);
TRIREME_INSTANTIATE(double)
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(BFloat16)
TRIREME_INSTANTIATE(Float16)
TRIREME_INSTANTIATE(int64_t)
TRIREME_INSTANTIATE(int32_t)
TRIREME_INSTANTIATE(uint8_t)
TRIREME_INSTANTIATE(bool)
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels
