// Group normalisation of channels-last images, and its gradients.
//
// Wu, He, "Group normalization", 2018.

#pragma once

#include <cstdint>

#include "core/base/device_tag.h"
#include "core/base/half.h"
#include "core/base/host_device.h"

namespace trireme::kernels {

/// A dense [batch, positions, channels]; group g of an image holds its channels [g width,
/// (g + 1) width) at all positions.
struct GroupedImages {
  int64_t batch, positions, channels, groups;
  TRIREME_HD int64_t width() const { return channels / groups; }
};

/// y = (x - mean) * rstd * gamma + beta with the statistics of the element's image and group: rstd
/// = 1 / sqrt(var + eps), var the mean squared deviation. mean and rstd [batch, groups] are written
/// for the gradient. gamma and beta [channels] may be null.
template <typename T>
void group_norm(Cpu, const GroupedImages& of, const T* x, const T* gamma, const T* beta, double eps,
                T* y, Acc<T>* mean, Acc<T>* rstd);
template <typename T>
void group_norm(Cuda, const GroupedImages& of, const T* x, const T* gamma, const T* beta,
                double eps, T* y, Acc<T>* mean, Acc<T>* rstd);

/// With xhat = (x - mean) rstd and g = dy gamma:
///   dx = rstd (g - mean(g) - xhat mean(g xhat)), means over the element's image and group,
///   dgamma = sum(dy xhat), dbeta = sum(dy) over images and positions.
/// gamma, dx, dgamma and dbeta may be null: the last three are then not wanted. Every sum has one
/// order whatever the number of threads.
template <typename T>
void group_norm_backward(Cpu, const GroupedImages& of, const T* x, const T* gamma,
                         const Acc<T>* mean, const Acc<T>* rstd, const T* dy, T* dx, T* dgamma,
                         T* dbeta);
template <typename T>
void group_norm_backward(Cuda, const GroupedImages& of, const T* x, const T* gamma,
                         const Acc<T>* mean, const Acc<T>* rstd, const T* dy, T* dx, T* dgamma,
                         T* dbeta);

}  // namespace trireme::kernels
