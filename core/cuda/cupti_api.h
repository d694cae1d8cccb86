// The entry points of CUPTI that the activity trace calls, opened at run time.

#pragma once

#include <cupti.h>

#include "core/base/shared_library.h"

namespace trireme::cuda {

struct CuptiApi {
  decltype(&::cuptiActivityRegisterCallbacks) register_callbacks;
  decltype(&::cuptiActivityEnable) enable;
  decltype(&::cuptiActivityDisable) disable;
  decltype(&::cuptiActivityFlushAll) flush_all;
  decltype(&::cuptiActivityGetNextRecord) next_record;
  decltype(&::cuptiGetTimestamp) timestamp;
  decltype(&::cuptiGetResultString) result_string;
};

/// The library of the toolkit that this build was made with; records of another one look otherwise.
/// Throws CudaError where it is missing.
const CuptiApi& cupti();

}  // namespace trireme::cuda
