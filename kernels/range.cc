#include "kernels/range.h"

#include "core/base/parallel_for.h"
#include "kernels/cuda/convert.h"
#include "kernels/strided_loop.h"

namespace trireme::kernels {

void fill_range(Cpu, DType dtype, const Range& range, void* x) {
  dispatch_dtype(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* const out = static_cast<T*>(x);
    parallel_for(range.count, kPointwiseGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) out[i] = convert<T>(range.at(i));
    });
  });
}

}  // namespace trireme::kernels
