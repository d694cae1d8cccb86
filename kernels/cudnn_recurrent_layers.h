// The recurrent layers that one thread's cuDNN has met on one device: who computes each shape, and
// the descriptors of those that cuDNN does.

#pragma once

#include <map>
#include <memory>

#include "kernels/cudnn_library.h"
#include "kernels/cudnn_recurrent.h"

namespace trireme::kernels {

class CudnnRecurrentLayers {
 public:
  explicit CudnnRecurrentLayers(CudnnLibrary& library) : library_(library) {}

  CudnnLibrary& library() const { return library_; }

  /// choose_recurrent_plan, for elements of `type`. A layer that cuDNN refuses is a line in the
  /// log.
  std::optional<RecurrentPlan> choose(const RecurrentLayerShape& shape, cudnnDataType_t type,
                                      CUstream_st* stream, const std::function<void()>& own,
                                      const std::function<void(const RecurrentPlan&)>& cudnn);

  /// The layer's descriptors, made in the first call.
  const CudnnRecurrent& layer(const RecurrentLayerShape& shape, cudnnDataType_t type, int algorithm,
                              CUstream_st* stream);

  /// The calling thread's, on device `index`.
  static CudnnRecurrentLayers& of(int index);
  /// The same; null on machines without a usable cuDNN, which the log says once.
  static CudnnRecurrentLayers* find(int index);

 private:
  std::optional<RecurrentPlan> decide(const RecurrentLayerShape& shape, cudnnDataType_t type,
                                      CUstream_st* stream, bool by_time,
                                      const std::function<void()>& own,
                                      const std::function<void(const RecurrentPlan&)>& cudnn);

  CudnnLibrary& library_;
  std::map<CudnnKey, std::optional<RecurrentPlan>> chosen_;
  std::map<CudnnKey, std::unique_ptr<const CudnnRecurrent>> layers_;
};

}  // namespace trireme::kernels
