// The recurrent layers met on one device: who computes each shape, and the descriptors of those
// that cuDNN does.

#pragma once

#include <map>
#include <memory>
#include <mutex>

#include "kernels/cudnn_library.h"
#include "kernels/cudnn_recurrent.h"

namespace trireme::kernels {

/// What was chosen for each shape; nothing stands for our own kernels. One for all threads: what a
/// thread computes again for its backward is to be what another one's forward was. Thread-safe.
class RecurrentChoices {
 public:
  using Choice = std::optional<RecurrentPlan>;
  std::optional<Choice> find(const CudnnKey& key) const;
  /// The choice, or the one that another thread has made in the meantime.
  Choice keep(const CudnnKey& key, const Choice& choice);

 private:
  mutable std::mutex mutex_;
  std::map<CudnnKey, Choice> chosen_;  // guarded by mutex_
};

/// One thread's.
class CudnnRecurrentLayers {
 public:
  CudnnRecurrentLayers(CudnnLibrary& library, RecurrentChoices& choices)
      : library_(library), choices_(choices) {}

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
  RecurrentChoices& choices_;
  std::map<CudnnKey, std::unique_ptr<const CudnnRecurrent>> layers_;
};

}  // namespace trireme::kernels
