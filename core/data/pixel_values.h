// How bytes of images become what a model gets: standardised per channel.

#pragma once

#include <array>
#include <vector>

namespace trireme {

/// Mean and standard deviation of each channel's pixels, which lie in [0, 1].
struct PixelMoments {
  std::vector<double> mean, deviation;
};

/// By the byte: (p / 255 - mean) / deviation. A channel without deviation is only centred.
using PixelValues = std::array<float, 256>;
std::vector<PixelValues> pixel_values(const PixelMoments& moments);

}  // namespace trireme
