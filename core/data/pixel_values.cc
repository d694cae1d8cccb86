#include "core/data/pixel_values.h"

#include <cstddef>

namespace trireme {

std::vector<PixelValues> pixel_values(const PixelMoments& moments) {
  std::vector<PixelValues> values(moments.mean.size());
  for (size_t c = 0; c < values.size(); ++c) {
    const double scale = moments.deviation[c] > 0 ? 1 / moments.deviation[c] : 1;
    for (size_t p = 0; p < values[c].size(); ++p) {
      const double pixel = static_cast<double>(p) / 255.0;
      values[c][p] = static_cast<float>((pixel - moments.mean[c]) * scale);
    }
  }
  return values;
}

}  // namespace trireme
