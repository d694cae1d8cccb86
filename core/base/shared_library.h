// A shared library opened at run time, so that programs start on machines that do not have it.

#pragma once

#include <string>
#include <vector>

#include "core/base/error.h"

namespace trireme {

/// Opened by the first of `names` that exists ("libcudnn.so.9", "libcudnn.so"). Never closed.
class SharedLibrary {
 public:
  /// `what` is how errors call it ("cuDNN 9"). Does not throw when nothing is found: see is_open().
  SharedLibrary(std::string what, const std::vector<std::string>& names);

  bool is_open() const { return handle_ != nullptr; }
  /// Which names were tried and why the last failed, and how to install it.
  const std::string& error() const { return error_; }
  /// Throws CudaError with error() when the library is not open, or that names the missing symbol.
  template <typename Function>
  Function* symbol(const char* name) const {
    return reinterpret_cast<Function*>(find(name));
  }
  /// Null where the library or the symbol is missing.
  void* find_or_null(const char* name) const;

 private:
  void* find(const char* name) const;
  std::string what_;
  std::string error_;
  void* handle_ = nullptr;
};

}  // namespace trireme
