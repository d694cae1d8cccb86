// One descriptor of cuDNN's graph interface, owned: made, given attributes, finalised, destroyed.

#pragma once

#include <span>
#include <string>
#include <utility>

#include "kernels/cudnn_api.h"

namespace trireme::kernels {

/// Errors read `op: cuDNN descriptor NAME, ATTRIBUTE failed, status`.
class CudnnDescriptor {
 public:
  CudnnDescriptor() = default;
  /// `name` is what errors call it: "attention: tensor q".
  CudnnDescriptor(const CudnnApi& api, const char* op, std::string name,
                  cudnnBackendDescriptorType_t type);
  ~CudnnDescriptor() { reset(); }
  CudnnDescriptor(CudnnDescriptor&& other) noexcept { *this = std::move(other); }
  CudnnDescriptor& operator=(CudnnDescriptor&& other) noexcept;

  cudnnBackendDescriptor_t get() const { return descriptor_; }
  const std::string& name() const { return name_; }

  void set(cudnnBackendAttributeName_t attribute, cudnnBackendAttributeType_t type, int64_t count,
           const void* values);
  void set(cudnnBackendAttributeName_t attribute, const CudnnDescriptor& value);
  void set(cudnnBackendAttributeName_t attribute, std::span<const int64_t> values);
  void set(cudnnBackendAttributeName_t attribute, int64_t value) {
    set(attribute, std::span(&value, 1));
  }
  void set(cudnnBackendAttributeName_t attribute, bool value);
  void set(cudnnBackendAttributeName_t attribute, cudnnDataType_t value) {
    set(attribute, CUDNN_TYPE_DATA_TYPE, 1, &value);
  }
  void finalize() { check("finalising it", api_->BackendFinalize(descriptor_)); }
  /// For descriptors that cuDNN may refuse: engines and plans.
  cudnnStatus_t try_finalize() { return api_->BackendFinalize(descriptor_); }

  int64_t get_int64(cudnnBackendAttributeName_t attribute) const;
  /// Up to `count` values of a list; how many there are.
  int64_t get(cudnnBackendAttributeName_t attribute, cudnnBackendAttributeType_t type,
              int64_t count, void* values) const;

 private:
  void reset() noexcept;
  void check(const std::string& what, cudnnStatus_t status) const;

  const CudnnApi* api_ = nullptr;
  const char* op_ = "";
  std::string name_;
  cudnnBackendDescriptor_t descriptor_ = nullptr;
};

}  // namespace trireme::kernels
