// The order of the elements of rows.

#pragma once

#include <cstdint>

#include "core/base/device_tag.h"
#include "kernels/sort_key.h"
#include "kernels/view.h"

namespace trireme::kernels {

/// columns[r, j], dense [x.rows, k], is the column of the element that comes j-th in row r of dense
/// x. Equal elements keep the order they stand in; how NaN and -0 count says sort_key. Requires
/// k <= x.cols. Instantiated for every dtype.
template <typename T>
void sort_rows(Cpu, MatrixView<const T> x, Order order, int64_t k, int64_t* columns);
template <typename T>
void sort_rows(Cuda, MatrixView<const T> x, Order order, int64_t k, int64_t* columns);

}  // namespace trireme::kernels
