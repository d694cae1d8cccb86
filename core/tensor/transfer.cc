#include "core/tensor/transfer.h"

#include "core/base/device_tag.h"
#include "core/cuda/transfer.h"
#include "core/tensor/copy.h"
#include "core/tensor/create.h"

namespace trireme {
namespace {

// Both dense, of one dtype.
void copy_bytes(const Tensor& dst, const Tensor& src) {
  if constexpr (kHasCuda) {
    const Device to = dst.device(), from = src.device();
    if (from.is_cpu()) {
      cuda::copy_to_device(to.index, dst.raw_data(), src.raw_data(), src.nbytes());
    } else if (to.is_cpu()) {
      cuda::copy_to_host(from.index, dst.raw_data(), src.raw_data(), src.nbytes());
    } else {
      cuda::copy_across(to.index, dst.raw_data(), from.index, src.raw_data(), src.nbytes());
    }
  }
}

}  // namespace

void copy_between_devices(const Tensor& dst, const Tensor& src) {
  // Only dense bytes travel: gathered and converted where they come from, scattered where they go.
  const Tensor dense = to_contiguous(cast(src, dst.dtype()));
  if (dst.is_contiguous()) return copy_bytes(dst, dense);
  const Tensor arrived = empty_like(dst);
  copy_bytes(arrived, dense);
  copy_inplace(dst.detach(), arrived);
}

Tensor to_device(const Tensor& x, Device device) {
  require(x.defined(), "to", "operand is undefined");
  if (x.device() == device) return x.detach();
  const Tensor result = empty(x.shape(), {x.dtype(), device});
  copy_between_devices(result, x);
  return result;
}

void DelayedScalar::set(const Tensor& x) {
  require(x.defined() && x.numel() == 1, "delayed_scalar", "needs exactly one element, got ",
          x.defined() ? concat("shape ", x.shape()) : "an undefined tensor");
  copy_ = nullptr;
  dtype_ = x.dtype();
  is_set_ = true;
  if (x.device().is_cpu()) {
    value_ = x.item();
    return;
  }
  if constexpr (kHasCuda) {
    copy_ = std::make_shared<const cuda::HostCopy>(x.device().index, x.raw_data(), x.nbytes());
  }
}

double DelayedScalar::get() const {
  require(is_set_, "delayed_scalar", "has no value yet, call set() first");
  if constexpr (kHasCuda) {
    if (copy_) {
      const auto& copy = *static_cast<const cuda::HostCopy*>(copy_.get());
      copy.wait();
      return dispatch_dtype(dtype_, [&](auto tag) {
        return static_cast<double>(*static_cast<const typename decltype(tag)::type*>(copy.data()));
      });
    }
  }
  return value_;
}

}  // namespace trireme
