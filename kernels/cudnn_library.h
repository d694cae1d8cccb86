// cuDNN on one device: its handle, and a plan for each shape met so far.
//
// The first call with a shape builds the graph and asks cuDNN for kernels; where it offers several
// and the caller wants the fastest, they are timed on the call's own operands (not while a CUDA
// graph is being captured). An object belongs to one thread.

#pragma once

#include <functional>
#include <initializer_list>
#include <unordered_map>
#include <vector>

#include "kernels/cudnn_graph.h"
#include "kernels/library_device.h"

namespace trireme::kernels {

/// Who computes what our own kernels can compute, too: TRIREME_CUDNN_OR_OWN.
enum class CudnnUse {
  kFastest,  // whoever is faster for the shape; our own kernels where nothing can be timed
  kCudnn,    // cuDNN wherever it has a kernel
  kOwn,
};

struct CudnnOptions {
  bool tf32 = false;          // TRIREME_ALLOW_TF32
  bool tune = true;           // TRIREME_TUNE
  bool deterministic = true;  // TRIREME_DETERMINISTIC
  CudnnUse cudnn_or_own = CudnnUse::kFastest;
};

/// What graphs compute: one list, so that no two have the same number.
enum class CudnnOperation : int64_t {
  kConv2d,
  kConv2dNorm,
  kAttention,
  kAttentionGradient,
  kBatchNorm,
  kBatchNormGradient,
  kPool2d,
};

/// Everything about a call that its graph depends on; begins with a CudnnOperation.
using CudnnKey = std::vector<int64_t>;

/// What building a graph gives: the tensors in the order in which run() takes their pointers; one
/// without uid is not part of this graph, and its pointer not looked at.
struct CudnnBuilt {
  std::vector<CudnnTensor> arguments;
  std::vector<CudnnPlan> plans;
  bool is_chosen = false;  // plans[0] is the one to run
};

class CudnnLibrary {
 public:
  /// Throws CudaError with one clear message where cuDNN cannot start: no driver, no GPU.
  CudnnLibrary(const CudnnApi& api, LibraryDevice& device, CudnnOptions options);
  ~CudnnLibrary();
  CudnnLibrary(const CudnnLibrary&) = delete;

  const CudnnOptions& options() const { return options_; }
  LibraryDevice& device() const { return device_; }
  const CudnnApi& api() const { return api_; }
  /// Its work is queued on `stream`.
  cudnnHandle_t handle(CUstream_st* stream) const;

  /// Who is to compute a shape of which nothing is known yet: what the options say, but kOwn where
  /// they say kFastest and that cannot be found out now.
  CudnnUse whose(CUstream_st* stream) const;
  /// How long `work` takes, measured as all rivals are; runs it several times.
  double milliseconds(CUstream_st* stream, const std::function<void()>& work) const;

  /// An empty graph for errors of `op`.
  CudnnGraph graph(const char* op) const { return CudnnGraph(api_, handle_, op); }

  /// What `build` gave when it was first called for `key`. Without plans, cuDNN cannot do it.
  CudnnBuilt& built(const CudnnKey& key, const std::function<CudnnBuilt()>& build);

  /// Queues the plan on `stream`. Requires plans, and pointers for all arguments. Several plans are
  /// timed in the first call: running one again must give the same.
  void run(CudnnBuilt& built, std::initializer_list<const void*> pointers, CUstream_st* stream);

  /// Queues the graph that `build` makes for `key`. False, and nothing queued, where cuDNN refuses
  /// it, or where `rival`, our kernels for the same results, are to compute them: they are faster,
  /// or the options say so. `rival` is called to be timed only, and each may run several times:
  /// what is written must not depend on how often. A graph that cannot be built is a line in the
  /// log.
  bool run_unless_slower(const CudnnKey& key, const std::function<CudnnBuilt()>& build,
                         std::initializer_list<const void*> pointers, CUstream_st* stream,
                         const std::function<void()>& rival);

  /// The calling thread's, on device `index`.
  static CudnnLibrary& of(int index);
  /// The same for what our own kernels compute, too. Null, and the library is not looked for, where
  /// the options leave it to them; null on machines without a usable cuDNN, which the log says
  /// once.
  static CudnnLibrary* find(int index);

 private:
  /// Also makes the stream current.
  std::vector<CudnnBinding> bind(const CudnnBuilt& built,
                                 std::initializer_list<const void*> pointers, CUstream_st* stream);
  /// Times the plans and keeps the fastest; its milliseconds, infinity where there is no memory for
  /// any.
  double keep_fastest(CudnnBuilt& built, const std::vector<CudnnBinding>& bindings,
                      CUstream_st* stream);
  void choose(CudnnBuilt& built, const std::vector<CudnnBinding>& bindings, CUstream_st* stream);
  void launch(const CudnnPlan& plan, const std::vector<CudnnBinding>& bindings,
              CUstream_st* stream);

  const CudnnApi& api_;
  LibraryDevice& device_;
  const CudnnOptions options_;
  cudnnHandle_t handle_ = nullptr;
  struct KeyHash {
    size_t operator()(const CudnnKey& key) const;
  };
  std::unordered_map<CudnnKey, CudnnBuilt, KeyHash> built_;
};

}  // namespace trireme::kernels
