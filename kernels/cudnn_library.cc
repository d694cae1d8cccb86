#include "kernels/cudnn_library.h"

#include <bit>
#include <limits>
#include <utility>

#include "core/base/error.h"

namespace trireme::kernels {
namespace {

constexpr int kRepeats = 3;

}  // namespace

size_t CudnnLibrary::KeyHash::operator()(const CudnnKey& key) const {
  uint64_t hash = 14695981039346656037u;
  for (int64_t word : key) {
    hash = std::rotl(hash ^ static_cast<uint64_t>(word), 29) * 1099511628211u;
  }
  return hash ^ hash >> 32;
}

CudnnLibrary::CudnnLibrary(const CudnnApi& api, LibraryDevice& device, CudnnOptions options)
    : api_(api), device_(device), options_(options) {
  check_cudnn(api_, "cudnn", "cudnnCreate", api_.Create(&handle_));
}

CudnnLibrary::~CudnnLibrary() {
  built_.clear();
  api_.Destroy(handle_);
}

CudnnBuilt& CudnnLibrary::built(const CudnnKey& key, const std::function<CudnnBuilt()>& build) {
  const auto at = built_.find(key);
  return at != built_.end() ? at->second : built_.emplace(key, build()).first->second;
}

void CudnnLibrary::launch(const CudnnPlan& plan, const std::vector<CudnnBinding>& bindings,
                          CUstream_st* stream) {
  const LibraryWorkspace workspace(device_, stream, plan.workspace_bytes());
  plan.run(handle_, bindings, workspace.data());
}

void CudnnLibrary::choose(CudnnBuilt& built, const std::vector<CudnnBinding>& bindings,
                          CUstream_st* stream) {
  if (options_.tune && built.plans.size() > 1) {
    if (!device_.can_time(stream)) return;  // the next call may choose
    double best = std::numeric_limits<double>::infinity();
    size_t fastest = 0;
    for (size_t i = 0; i < built.plans.size(); ++i) {
      const double ms =
          device_.milliseconds(stream, kRepeats, [&] { launch(built.plans[i], bindings, stream); });
      if (ms < best) {
        best = ms;
        fastest = i;
      }
    }
    std::swap(built.plans[0], built.plans[fastest]);
  }
  built.is_chosen = true;
  built.plans.resize(1);
}

void CudnnLibrary::run(CudnnBuilt& built, std::initializer_list<const void*> pointers,
                       CUstream_st* stream) {
  TRIREME_ASSERT(!built.plans.empty() && pointers.size() == built.arguments.size());
  std::vector<CudnnBinding> bindings;
  const CudnnTensor* argument = built.arguments.data();
  for (const void* pointer : pointers) {
    if (argument->uid >= 0) bindings.push_back({*argument, pointer});
    ++argument;
  }
  check_cudnn(api_, "cudnn", "cudnnSetStream", api_.SetStream(handle_, stream));
  if (!built.is_chosen) choose(built, bindings, stream);
  launch(built.plans[0], bindings, stream);
  device_.check_launch(built.plans[0].op(), stream);
}

}  // namespace trireme::kernels
