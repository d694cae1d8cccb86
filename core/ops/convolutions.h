// Convolutions and transposed convolutions of images [batch, height, width, channels] and of
// sequences [batch, length, channels]. Part of core/ops/ops.h.
//
// Channel c of a result sees the channels of one group: group c / (channels / groups). Options of
// images are for rows and columns. Can be differentiated any number of times.

#pragma once

#include <array>
#include <cstdint>

#include "core/tensor/tensor.h"

namespace trireme {

struct Conv2dOptions {
  std::array<int64_t, 2> stride{1, 1};   // rows, columns
  std::array<int64_t, 2> padding{0, 0};  // zeros on both sides
  std::array<int64_t, 2> dilation{1, 1};
  int64_t groups = 1;
};
/// x [batch, height, width, in], weight [out, kernel height, kernel width, in / groups], bias [out]
/// or undefined -> [batch, (height + 2 padding - dilation (kernel - 1) - 1) / stride + 1, .., out].
Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
              Conv2dOptions options = {});

struct ConvTranspose2dOptions {
  std::array<int64_t, 2> stride{1, 1};          // between the places that neighbours go to
  std::array<int64_t, 2> padding{0, 0};         // rows and columns cut off on both sides
  std::array<int64_t, 2> output_padding{0, 0};  // and added at the end; less than the stride
  std::array<int64_t, 2> dilation{1, 1};
  int64_t groups = 1;
};
/// What conv2d does to the gradient of its result: every pixel adds its copy of the filter to the
/// result. x [batch, height, width, in], weight [in, kernel height, kernel width, out / groups],
/// bias [out] or undefined -> [batch, (height - 1) stride - 2 padding + dilation (kernel - 1) +
/// output padding + 1, .., out]. A conv2d with the same options maps that back to x's extents: of
/// the sizes it would map there, output padding picks one. Zeiler et al., "Deconvolutional
/// networks", 2010.
Tensor conv_transpose2d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                        ConvTranspose2dOptions options = {});

struct Conv1dOptions {
  int64_t stride = 1, padding = 0, dilation = 1;
  int64_t groups = 1;
};
/// conv2d of sequences: x [batch, length, in], weight [out, kernel, in / groups].
Tensor conv1d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
              Conv1dOptions options = {});

struct ConvTranspose1dOptions {
  int64_t stride = 1, padding = 0, output_padding = 0, dilation = 1;
  int64_t groups = 1;
};
/// conv_transpose2d of sequences: x [batch, length, in], weight [in, kernel, out / groups].
Tensor conv_transpose1d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                        ConvTranspose1dOptions options = {});

}  // namespace trireme
