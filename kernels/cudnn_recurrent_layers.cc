#include "kernels/cudnn_recurrent_layers.h"

#include <limits>
#include <string>

#include "core/base/error.h"
#include "core/base/log.h"

namespace trireme::kernels {
namespace {

constexpr int kAnyAlgorithm = -1;

CudnnKey key_of(const RecurrentLayerShape& s, cudnnDataType_t type, int algorithm) {
  return {static_cast<int64_t>(s.kind),
          s.steps,
          s.batch,
          s.in,
          s.hidden,
          s.has_bias,
          s.trains,
          int64_t{type},
          algorithm};
}

/// Of cuDNN's algorithms, those that may compute the type. Nothing is written about the order in
/// which the one that keeps the recurrent weight on the chip adds.
std::vector<cudnnRNNAlgo_t> candidates(cudnnDataType_t type, const CudnnOptions& options) {
  std::vector<cudnnRNNAlgo_t> all{CUDNN_RNN_ALGO_STANDARD};
  if (type != CUDNN_DATA_DOUBLE && !options.deterministic) {
    all.push_back(CUDNN_RNN_ALGO_PERSIST_STATIC);
  }
  return all;
}

std::string left_out(cudnnRNNAlgo_t algorithm, const Error& error) {
  return concat(error.what(), "; cuDNN's algorithm ", int{algorithm}, " is left out");
}

}  // namespace

std::optional<RecurrentChoices::Choice> RecurrentChoices::find(const CudnnKey& key) const {
  const std::lock_guard lock(mutex_);
  const auto at = chosen_.find(key);
  if (at == chosen_.end()) return std::nullopt;
  return std::optional<Choice>(std::in_place, at->second);
}

RecurrentChoices::Choice RecurrentChoices::keep(const CudnnKey& key, const Choice& choice) {
  const std::lock_guard lock(mutex_);
  return chosen_.emplace(key, choice).first->second;
}

const CudnnRecurrent& CudnnRecurrentLayers::layer(const RecurrentLayerShape& shape,
                                                  cudnnDataType_t type, int algorithm,
                                                  CUstream_st* stream) {
  auto& found = layers_[key_of(shape, type, algorithm)];
  if (!found) {
    found = std::make_unique<const CudnnRecurrent>(
        library_.api(), library_.handle(stream), library_.device(), stream,
        CudnnRecurrentLayer{shape, type, static_cast<cudnnRNNAlgo_t>(algorithm),
                            library_.options().tf32});
  }
  return *found;
}

std::optional<RecurrentPlan> CudnnRecurrentLayers::choose(
    const RecurrentLayerShape& shape, cudnnDataType_t type, CUstream_st* stream,
    const std::function<void()>& own, const std::function<void(const RecurrentPlan&)>& cudnn) {
  const CudnnKey key = key_of(shape, type, kAnyAlgorithm);
  if (const auto choice = choices_.find(key)) return *choice;
  const CudnnUse whose = library_.whose(stream);
  if (whose == CudnnUse::kOwn) return std::nullopt;  // perhaps for now only
  return choices_.keep(key, decide(shape, type, stream, whose == CudnnUse::kFastest, own, cudnn));
}

std::optional<RecurrentPlan> CudnnRecurrentLayers::decide(
    const RecurrentLayerShape& shape, cudnnDataType_t type, CUstream_st* stream, bool by_time,
    const std::function<void()>& own, const std::function<void(const RecurrentPlan&)>& cudnn) {
  double best = std::numeric_limits<double>::infinity();
  std::optional<RecurrentPlan> chosen;
  for (const cudnnRNNAlgo_t algorithm : candidates(type, library_.options())) {
    try {
      const RecurrentPlan plan{
          algorithm, static_cast<int64_t>(layer(shape, type, algorithm, stream).reserve_bytes())};
      if (!by_time) return plan;
      const double ms = library_.milliseconds(stream, [&] { cudnn(plan); });
      if (ms < best) {
        best = ms;
        chosen = plan;
      }
    } catch (const CudnnUnsupported& error) {
      log_info(left_out(algorithm, error));
    } catch (const CudaError& error) {
      log_warning(left_out(algorithm, error));
    } catch (const OutOfMemory& error) {
      log_warning(left_out(algorithm, error));
    }
  }
  if (chosen && library_.milliseconds(stream, own) <= best) chosen.reset();
  return chosen;
}

}  // namespace trireme::kernels
