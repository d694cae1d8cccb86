#include <cstddef>

#include "core/base/config.h"
#include "core/base/error.h"
#include "core/base/shared_library.h"
#include "launcher/doctor/report.h"

namespace trireme {
namespace {

/// The CUDA version of this build as the suffix of its libraries: 13 for 13.0.
std::string cuda_major() {
  const std::string version = kCudaVersion;
  return version.substr(0, version.find('.'));
}

/// 91901 for 9.19.1 (cuDNN 9), 22809 for 2.28.9 (NCCL), 130100 for 13.1.0 (cuBLASLt): each has its
/// own way to put three numbers into one.
std::string version_text(long version, long major_unit, long minor_unit) {
  return concat(version / major_unit, ".", version % major_unit / minor_unit, ".",
                version % minor_unit);
}

Finding finding_of(const char* label, const SharedLibrary& library, const std::string& version,
                   bool is_needed) {
  if (library.is_open()) return {label, version, "", false};
  return {label, "not found", library.error(), is_needed};
}

template <typename Version>
long call_version(const SharedLibrary& library, const char* symbol) {
  void* const found = library.find_or_null(symbol);
  return found ? static_cast<long>(reinterpret_cast<Version (*)()>(found)()) : 0;
}

Finding cublas() {
  const std::string name = "libcublasLt.so." + cuda_major();
  const SharedLibrary library("cuBLASLt", {name, "/usr/local/cuda/lib64/" + name});
  const long version = call_version<size_t>(library, "cublasLtGetVersion");
  return finding_of("cuBLASLt", library, version_text(version, 10000, 100), true);
}

Finding cudnn() {
  const SharedLibrary library("cuDNN 9", {"libcudnn.so.9", "/usr/local/cuda/lib64/libcudnn.so.9"});
  const long version = call_version<size_t>(library, "cudnnGetVersion");
  return finding_of("cuDNN", library, version_text(version, 10000, 100), true);
}

Finding nccl() {
  const SharedLibrary library("NCCL 2", {"libnccl.so.2", "libnccl.so"});
  int version = 0;
  if (void* const found = library.find_or_null("ncclGetVersion")) {
    reinterpret_cast<int (*)(int*)>(found)(&version);
  }
  return finding_of("NCCL", library, version_text(version, 10000, 100), false);
}

}  // namespace

Page library_page() {
  Page page{"Libraries, opened when a rank uses them", {}};
  if (!kHasCuda) return page;
  page.findings = {cublas(), cudnn()};
  if (kHasNccl) page.findings.push_back(nccl());
  return page;
}

}  // namespace trireme
