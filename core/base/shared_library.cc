#include "core/base/shared_library.h"

#include <dlfcn.h>

#include <utility>

namespace trireme {

SharedLibrary::SharedLibrary(std::string what, const std::vector<std::string>& names)
    : what_(std::move(what)) {
  std::string tried, reason;
  for (const std::string& name : names) {
    handle_ = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle_) return;
    const char* const why = dlerror();
    tried += (tried.empty() ? "" : ", ") + name;
    reason = why ? why : "unknown reason";
  }
  error_ = what_ + ": not found, tried " + tried + " (" + reason +
           "); install it, or put its folder into LD_LIBRARY_PATH";
}

void* SharedLibrary::find_or_null(const char* name) const {
  return handle_ ? dlsym(handle_, name) : nullptr;
}

void* SharedLibrary::find(const char* name) const {
  if (!handle_) throw CudaError(error_);
  void* const symbol = dlsym(handle_, name);
  if (!symbol) {
    throw CudaError(concat(what_, ": the library that was found has no ", name,
                           "; it is older than the one this build was made for"));
  }
  return symbol;
}

}  // namespace trireme
