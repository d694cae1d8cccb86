#include "kernels/cudnn_library.h"

#include <bit>
#include <limits>
#include <utility>

#include "core/base/error.h"
#include "core/base/log.h"

namespace trireme::kernels {
namespace {

constexpr int kRepeats = 3;

void warn(const CudaError& error) { log_warning(error.what(), "; our own kernels are used"); }

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

cudnnHandle_t CudnnLibrary::handle(CUstream_st* stream) const {
  check_cudnn(api_, "cudnn", "cudnnSetStream", api_.SetStream(handle_, stream));
  return handle_;
}

CudnnUse CudnnLibrary::whose(CUstream_st* stream) const {
  const bool by_time = options_.cudnn_or_own == CudnnUse::kFastest;
  if (by_time && !(options_.tune && device_.can_time(stream))) return CudnnUse::kOwn;
  return options_.cudnn_or_own;
}

double CudnnLibrary::milliseconds(CUstream_st* stream, const std::function<void()>& work) const {
  return device_.milliseconds(stream, kRepeats, work);
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

double CudnnLibrary::keep_fastest(CudnnBuilt& built, const std::vector<CudnnBinding>& bindings,
                                  CUstream_st* stream) {
  double best = std::numeric_limits<double>::infinity();
  size_t fastest = 0;
  for (size_t i = 0; i < built.plans.size(); ++i) {
    try {
      const double ms = milliseconds(stream, [&] { launch(built.plans[i], bindings, stream); });
      if (ms < best) {
        best = ms;
        fastest = i;
      }
    } catch (const OutOfMemory& error) {
      log_warning(error.what(), "; this kernel of cuDNN's is left out");
    }
  }
  std::swap(built.plans[0], built.plans[fastest]);
  built.plans.resize(1);
  built.is_chosen = true;
  return best;
}

void CudnnLibrary::choose(CudnnBuilt& built, const std::vector<CudnnBinding>& bindings,
                          CUstream_st* stream) {
  if (options_.tune && built.plans.size() > 1) {
    if (device_.can_time(stream)) keep_fastest(built, bindings, stream);
    return;  // else the next call may choose
  }
  built.plans.resize(1);
  built.is_chosen = true;
}

std::vector<CudnnBinding> CudnnLibrary::bind(const CudnnBuilt& built,
                                             std::initializer_list<const void*> pointers,
                                             CUstream_st* stream) {
  TRIREME_ASSERT(!built.plans.empty() && pointers.size() == built.arguments.size());
  std::vector<CudnnBinding> bindings;
  const CudnnTensor* argument = built.arguments.data();
  for (const void* pointer : pointers) {
    if (argument->uid >= 0) bindings.push_back({*argument, pointer});
    ++argument;
  }
  handle(stream);
  return bindings;
}

void CudnnLibrary::run(CudnnBuilt& built, std::initializer_list<const void*> pointers,
                       CUstream_st* stream) {
  const std::vector<CudnnBinding> bindings = bind(built, pointers, stream);
  if (!built.is_chosen) choose(built, bindings, stream);
  launch(built.plans[0], bindings, stream);
  device_.check_launch(built.plans[0].op(), stream);
}

bool CudnnLibrary::run_unless_slower(const CudnnKey& key, const std::function<CudnnBuilt()>& build,
                                     std::initializer_list<const void*> pointers,
                                     CUstream_st* stream, const std::function<void()>& rival) {
  const bool by_time = options_.cudnn_or_own == CudnnUse::kFastest;
  // Plans that nobody may time now would be compiled in vain.
  if (!built_.contains(key) && whose(stream) == CudnnUse::kOwn) return false;
  CudnnBuilt& found = built(key, [&]() -> CudnnBuilt {
    try {
      return build();
    } catch (const CudaError& error) {
      warn(error);
      return {};
    }
  });
  if (found.plans.empty()) return false;
  if (!found.is_chosen && by_time) {
    if (!device_.can_time(stream)) return false;
    double ms = std::numeric_limits<double>::infinity();
    try {
      ms = keep_fastest(found, bind(found, pointers, stream), stream);
    } catch (const CudaError& error) {
      warn(error);
    }
    if (milliseconds(stream, rival) <= ms) {
      found.plans.clear();
      return false;
    }
  }
  run(found, pointers, stream);
  return true;
}

}  // namespace trireme::kernels
