#include "kernels/cudnn_pool2d.h"

#include "kernels/cudnn_images.h"

namespace trireme::kernels {

CudnnKey key_of_pool2d(const CudnnPool2d& pool) {
  const auto& [batch, channels, rows, cols] = pool.g;
  constexpr auto kOperation = static_cast<int64_t>(CudnnOperation::kPool2d);
  return {kOperation,       static_cast<int64_t>(pool.kind),
          pool.is_gradient, pool.type,
          pool.place,       batch,
          channels,         rows.size,
          rows.kernel,      rows.stride,
          rows.pad,         cols.size,
          cols.kernel,      cols.stride,
          cols.pad};
}

CudnnBuilt build_pool2d(CudnnGraph graph, const CudnnPool2d& pool, const CudnnFilter& filter) {
  const auto& [batch, channels, rows, cols] = pool.g;
  const CudnnImages image = channels_last(batch, channels, rows.size, cols.size);
  const CudnnImages result = channels_last(batch, channels, rows.out, cols.out);
  const CudnnTensor x = graph.tensor("x", pool.type, image.extents, image.strides);
  const CudnnTensor y = graph.tensor("y", pool.type, result.extents, result.strides);
  CudnnTensor where;
  if (pool.kind == CudnnPool::kMax) {
    where = graph.tensor("where", pool.place, result.extents, result.strides);
  }
  const CudnnPoolShape shape{
      {rows.kernel, cols.kernel}, {rows.pad, cols.pad}, {rows.stride, cols.stride}};
  if (pool.is_gradient) {
    graph.pool_gradient(pool.kind, shape, y, x, where);
  } else {
    graph.pool(pool.kind, shape, x, y, where);
  }
  return {{x, y, where}, graph.plans(filter)};
}

}  // namespace trireme::kernels
