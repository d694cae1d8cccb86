// Tensors of cuDNN's graphs on host memory, any type and strides, element by element.

#pragma once

#include <functional>
#include <vector>

#include <cudnn_graph.h>

#include "core/base/half.h"

namespace trireme::testing {

using HostIndex = std::vector<int64_t>;

inline double load(const void* data, int64_t at, cudnnDataType_t type) {
  switch (type) {
    case CUDNN_DATA_DOUBLE:
      return static_cast<const double*>(data)[at];
    case CUDNN_DATA_BFLOAT16:
      return static_cast<const BFloat16*>(data)[at];
    case CUDNN_DATA_HALF:
      return static_cast<const Float16*>(data)[at];
    case CUDNN_DATA_INT32:
      return static_cast<const int32_t*>(data)[at];
    case CUDNN_DATA_INT8:
      return static_cast<const int8_t*>(data)[at];
    case CUDNN_DATA_BOOLEAN:
      return static_cast<const bool*>(data)[at];
    default:
      return static_cast<const float*>(data)[at];
  }
}
inline void store(void* data, int64_t at, cudnnDataType_t type, double value) {
  switch (type) {
    case CUDNN_DATA_DOUBLE:
      static_cast<double*>(data)[at] = value;
      return;
    case CUDNN_DATA_BFLOAT16:
      static_cast<BFloat16*>(data)[at] = BFloat16(value);
      return;
    case CUDNN_DATA_HALF:
      static_cast<Float16*>(data)[at] = Float16(value);
      return;
    case CUDNN_DATA_INT32:
      static_cast<int32_t*>(data)[at] = static_cast<int32_t>(value);
      return;
    case CUDNN_DATA_INT8:
      static_cast<int8_t*>(data)[at] = static_cast<int8_t>(value);
      return;
    case CUDNN_DATA_BOOLEAN:
      static_cast<bool*>(data)[at] = value != 0;
      return;
    default:
      static_cast<float*>(data)[at] = static_cast<float>(value);
  }
}

/// A tensor: extents and strides, and memory that is the caller's or a temporary's.
struct HostTensor {
  HostIndex extents, strides;
  cudnnDataType_t type;
  void* data;

  /// The element at `index`, or the one that stands for it where an extent is 1.
  int64_t at(const HostIndex& index) const {
    int64_t offset = 0;
    for (size_t d = 0; d < extents.size(); ++d) {
      if (extents[d] > 1) offset += index[d] * strides[d];
    }
    return offset;
  }
  double get(const HostIndex& index) const { return load(data, at(index), type); }
  void set(const HostIndex& index, double value) const { store(data, at(index), type, value); }
};

inline void each_index(const HostIndex& extents, const std::function<void(const HostIndex&)>& fn) {
  HostIndex index(extents.size(), 0);
  for (;;) {
    fn(index);
    size_t d = extents.size();
    while (d > 0 && ++index[d - 1] == extents[d - 1]) index[--d] = 0;
    if (d == 0) return;
  }
}

/// Zeros of some shape to sum in.
class Wide {
 public:
  explicit Wide(const HostIndex& extents) : extents_(extents) {
    int64_t count = 1;
    for (int64_t e : extents) count *= e;
    values_.resize(static_cast<size_t>(count));
  }
  double& operator[](const HostIndex& index) {
    int64_t at = 0;
    for (size_t d = 0; d < extents_.size(); ++d) at = at * extents_[d] + index[d];
    return values_[static_cast<size_t>(at)];
  }

 private:
  HostIndex extents_;
  std::vector<double> values_;
};

}  // namespace trireme::testing
