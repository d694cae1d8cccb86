// What the readers of other tools' weights share: token tables.

#pragma once

#include <cstring>

#include "core/tensor/copy.h"
#include "core/tensor/create.h"
#include "core/tensor/view.h"

namespace trireme::detail {

inline bool same_bytes(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape() || a.dtype() != b.dtype()) return false;
  const Tensor x = to_contiguous(a), y = to_contiguous(b);
  return x.raw_data() == y.raw_data() ||
         std::memcmp(x.raw_data(), y.raw_data(), static_cast<size_t>(x.nbytes())) == 0;
}

/// table [vocabulary, dim] with zeros below up to `rows` rows; itself where it has as many, or is
/// no table.
inline Tensor with_rows(const Tensor& table, int64_t rows) {
  if (table.rank() != 2 || table.size(0) >= rows) return table;
  const Tensor padded = zeros({rows, table.size(1)}, {table.dtype(), table.device()});
  copy_inplace(views::slice(padded, 0, 0, table.size(0)), table.detach());
  return padded;
}

}  // namespace trireme::detail
