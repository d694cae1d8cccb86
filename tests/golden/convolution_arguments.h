// The arguments of convolutions, for ops and modules.

#pragma once

#include "core/ops/convolutions.h"
#include "tests/golden/golden_ops.h"

namespace trireme::testing {

inline std::array<int64_t, 2> pair_in(const Arguments& with, const char* name,
                                      std::array<int64_t, 2> fallback) {
  return with.value(name, fallback);
}
inline int64_t one_in(const Arguments& with, const char* name, int64_t fallback) {
  return with.value(name, std::array{fallback})[0];
}
inline int64_t groups_in(const Arguments& with) { return with.value("groups", 1); }

inline Conv2dOptions conv2d_options(const Arguments& with) {
  return {pair_in(with, "stride", {1, 1}), pair_in(with, "padding", {0, 0}),
          pair_in(with, "dilation", {1, 1}), groups_in(with)};
}
inline ConvTranspose2dOptions conv_transpose2d_options(const Arguments& with) {
  return {pair_in(with, "stride", {1, 1}), pair_in(with, "padding", {0, 0}),
          pair_in(with, "output_padding", {0, 0}), pair_in(with, "dilation", {1, 1}),
          groups_in(with)};
}
inline Conv1dOptions conv1d_options(const Arguments& with) {
  return {one_in(with, "stride", 1), one_in(with, "padding", 0), one_in(with, "dilation", 1),
          groups_in(with)};
}
inline ConvTranspose1dOptions conv_transpose1d_options(const Arguments& with) {
  return {one_in(with, "stride", 1), one_in(with, "padding", 0), one_in(with, "output_padding", 0),
          one_in(with, "dilation", 1), groups_in(with)};
}

}  // namespace trireme::testing
