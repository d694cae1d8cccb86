// Which part of an image a model gets to see.

#pragma once

#include <cstdint>

#include "core/base/philox.h"
#include "core/data/resample.h"

namespace trireme {

/// A random part of an image of rows x cols pixels, for training, scaled to side x side: a share of
/// the area, uniform in [least_area, 1], in a shape whose ratio of width to height is log-uniform
/// in [3/4, 4/3], anywhere. Where ten such shapes do not fit, the largest part in the middle whose
/// ratio lies in that range. This is the crop of Szegedy et al., "Going deeper with convolutions"
/// (CVPR 2015), with the limits of torchvision's RandomResizedCrop.
Scaling random_crop(int64_t rows, int64_t cols, int64_t side, double least_area, Generator& random);

/// The middle: the image is scaled so that its shorter side has `shorter` pixels, and side x side
/// of them are cut out. Requires shorter >= side.
Scaling center_crop(int64_t rows, int64_t cols, int64_t side, int64_t shorter);

}  // namespace trireme
