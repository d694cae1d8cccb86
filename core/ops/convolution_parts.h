// What the convolutions share: their checks, and the three products that they and their gradients
// are made of.
//
// Between an image, a result and a weight any two make the third. Each product is linear in both of
// its operands, and the gradients of one are the other two, so that all of them can be
// differentiated any number of times:
//
//   result = convolve(image, weight)             d image = convolve_transposed(d result, weight)
//                                                d weight = correlate(image, d result)
//   image = convolve_transposed(result, weight)  d result = convolve(d image, weight)
//                                                d weight = correlate(d image, result)
//   weight = correlate(image, result)            d image = convolve_transposed(result, d weight)
//                                                d result = convolve(image, d weight)
//
// Shapes and dtypes are checked by whoever calls. Sequences are images of one row whose tensors
// lack the dimension of rows.

#pragma once

#include <array>
#include <span>

#include "core/autograd/gradient_home.h"
#include "kernels/conv2d.h"

namespace trireme::detail {

using kernels::Conv2dGeometry;

/// The common options of the ops: an entry per dimension of an image or a sequence.
struct WindowOptions {
  std::span<const int64_t> stride, padding, dilation;
  int64_t groups;
  int dims() const { return static_cast<int>(stride.size()); }
};

/// An option's numbers, of an image or a sequence.
inline std::span<const int64_t> entries(const std::array<int64_t, 2>& of_image) { return of_image; }
inline std::span<const int64_t> entries(const int64_t& of_sequence) { return {&of_sequence, 1}; }

/// Of the options of any convolution, which must outlive the result.
template <typename Options>
WindowOptions windows_of(const Options& o) {
  return {entries(o.stride), entries(o.padding), entries(o.dilation), o.groups};
}

/// That options make sense for themselves: those of all convolutions, those of transposed ones.
void check_window_options(const char* op, const WindowOptions& options);
void check_output_padding(const char* op, std::span<const int64_t> output_padding,
                          const WindowOptions& options);

/// Ranks, dtypes, devices and options. `between` is what weight must be, for the message.
void check_windows(const char* op, const Tensor& x, const Tensor& weight, const char* between,
                   const WindowOptions& options);
/// bias is undefined or [channels].
void check_conv_bias(const char* op, const Tensor& bias, int64_t channels, const Tensor& weight);

/// All of that for the operands of convolve, and that they fit; op is the name in errors.
Conv2dGeometry checked_geometry(const char* op, const Tensor& x, const Tensor& weight,
                                const Tensor& bias, const WindowOptions& options);

/// For a checked weight [result channels, kernel .., image channels / groups].
Conv2dGeometry geometry_of(const Shape& image, const Tensor& weight, const WindowOptions& options);

/// result [batch, .., result channels]. bias: of its channels, or undefined.
Tensor convolve(const Conv2dGeometry& g, const Tensor& image, const Tensor& weight,
                const Tensor& bias = {});
/// image [batch, .., image channels]. bias: of its channels, or undefined.
Tensor convolve_transposed(const Conv2dGeometry& g, const Tensor& result, const Tensor& weight,
                           const Tensor& bias = {});
/// weight, where it is to lie: for a formula that runs unrecorded.
Tensor correlate(const Conv2dGeometry& g, const Tensor& image, const Tensor& result,
                 const GradientHome& home = {});

}  // namespace trireme::detail
