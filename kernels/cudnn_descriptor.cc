#include "kernels/cudnn_descriptor.h"

#include "core/base/error.h"

namespace trireme::kernels {

CudnnDescriptor::CudnnDescriptor(const CudnnApi& api, const char* op, std::string name,
                                 cudnnBackendDescriptorType_t type)
    : api_(&api), op_(op), name_(std::move(name)) {
  check("making it", api.BackendCreateDescriptor(type, &descriptor_));
}

CudnnDescriptor& CudnnDescriptor::operator=(CudnnDescriptor&& other) noexcept {
  if (this != &other) {
    reset();
    api_ = other.api_;
    op_ = other.op_;
    name_ = std::move(other.name_);
    descriptor_ = std::exchange(other.descriptor_, nullptr);
  }
  return *this;
}

void CudnnDescriptor::reset() noexcept {
  if (descriptor_) api_->BackendDestroyDescriptor(std::exchange(descriptor_, nullptr));
}

void CudnnDescriptor::check(const std::string& what, cudnnStatus_t status) const {
  if (status == CUDNN_STATUS_SUCCESS) return;
  check_cudnn(*api_, op_, concat("cuDNN descriptor ", name_, ", ", what), status);
}

void CudnnDescriptor::set(cudnnBackendAttributeName_t attribute, cudnnBackendAttributeType_t type,
                          int64_t count, const void* values) {
  const cudnnStatus_t status =
      api_->BackendSetAttribute(descriptor_, attribute, type, count, values);
  if (status != CUDNN_STATUS_SUCCESS) {
    check(concat("setting attribute ", static_cast<int>(attribute)), status);
  }
}

void CudnnDescriptor::set(cudnnBackendAttributeName_t attribute, const CudnnDescriptor& value) {
  const cudnnBackendDescriptor_t descriptor = value.get();
  set(attribute, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &descriptor);
}

void CudnnDescriptor::set(cudnnBackendAttributeName_t attribute, std::span<const int64_t> values) {
  set(attribute, CUDNN_TYPE_INT64, static_cast<int64_t>(values.size()), values.data());
}

void CudnnDescriptor::set(cudnnBackendAttributeName_t attribute, bool value) {
  set(attribute, CUDNN_TYPE_BOOLEAN, 1, &value);
}

int64_t CudnnDescriptor::get(cudnnBackendAttributeName_t attribute,
                             cudnnBackendAttributeType_t type, int64_t count, void* values) const {
  int64_t found = 0;
  check(concat("reading attribute ", static_cast<int>(attribute)),
        api_->BackendGetAttribute(descriptor_, attribute, type, count, &found, values));
  return found;
}

int64_t CudnnDescriptor::get_int64(cudnnBackendAttributeName_t attribute) const {
  int64_t value = 0;
  get(attribute, CUDNN_TYPE_INT64, 1, &value);
  return value;
}

}  // namespace trireme::kernels
