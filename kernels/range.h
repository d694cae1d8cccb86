// Evenly spaced numbers.

#pragma once

#include <cstdint>

#include "core/base/device_tag.h"
#include "core/base/dtype.h"
#include "core/base/host_device.h"

namespace trireme::kernels {

/// Number i counts from `first` where i < from_first, and else back from `last`, so that both ends
/// of an interval are exact.
struct Range {
  double first, step, last;
  int64_t count, from_first;
  TRIREME_HD double at(int64_t i) const {
    return i < from_first ? first + step * static_cast<double>(i)
                          : last - step * static_cast<double>(count - 1 - i);
  }
};

/// x[i] = range.at(i) for i < range.count, converted to `dtype`; x dense.
void fill_range(Cpu, DType dtype, const Range& range, void* x);
void fill_range(Cuda, DType dtype, const Range& range, void* x);

}  // namespace trireme::kernels
