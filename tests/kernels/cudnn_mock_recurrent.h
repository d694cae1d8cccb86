// cuDNN's recurrent layers for the mock: they refuse what the real ones refuse and compute the rest
// on host memory, in double precision, one step after another.

#pragma once

#include "kernels/cudnn_api.h"

namespace trireme::testing {

/// Puts the calls that recurrent layers need into the table.
void add_recurrent_layers(kernels::CudnnApi& api);

}  // namespace trireme::testing
