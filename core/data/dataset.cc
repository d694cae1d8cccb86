#include "core/data/dataset.h"

namespace trireme {

Batch Dataset::collate(std::span<const int64_t> indices, int64_t step) const {
  if (indices.empty()) return {};
  Batch batch = allocate(static_cast<int64_t>(indices.size()));
  int64_t place = 0;
  for (const int64_t index : indices) fill(batch, place++, index, step);
  return batch;
}

}  // namespace trireme
