// Comparison and choice over broadcasting operands of any dtype.

#pragma once

#include "core/base/device_tag.h"
#include "core/base/dtype.h"
#include "core/base/shape.h"
#include "kernels/fill_copy.h"

namespace trireme::kernels {

enum class Comparison { kEqual, kGreater };

/// y[i] = a[i] <comparison> b[i], y dense. Requires a.shape == b.shape (broadcast by strides of 0)
/// and equal dtypes. Comparing with NaN gives false.
void compare(Cpu, Comparison comparison, ConstAnyView a, ConstAnyView b, bool* y);
void compare(Cuda, Comparison comparison, ConstAnyView a, ConstAnyView b, bool* y);

/// y[i] = condition[i] ? a[i] : b[i], y dense. Requires equal shapes, a bool condition, and a and b
/// of y's dtype.
void select(Cpu, ConstAnyView condition, ConstAnyView a, ConstAnyView b, void* y);
void select(Cuda, ConstAnyView condition, ConstAnyView a, ConstAnyView b, void* y);

}  // namespace trireme::kernels
