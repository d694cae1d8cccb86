// Groups: the threads that work on one row together.
//
// Row bodies (*_body.h) are written once against this interface and run as a warp or a block on the
// device (group.cuh), as a single member here, and as host threads in the tests:
//   rank(), size()   this member, and how many there are
//   reduce(v, op)    op over all members' v, the same value in every member; op is associative and
//                    commutative, and every member must call
//   sync()           all members have come here and see what the others wrote
// Reductions combine in a fixed order, so results do not vary from run to run.

#pragma once

#include <cmath>
#include <type_traits>

#include "core/base/host_device.h"

namespace trireme::kernels {

struct SerialGroup {
  TRIREME_HD int rank() const { return 0; }
  TRIREME_HD int size() const { return 1; }
  template <typename V, typename Op>
  TRIREME_HD V reduce(V v, Op) const {
    return v;
  }
  TRIREME_HD void sync() const {}
};

struct SumOp {
  template <typename V>
  TRIREME_HD V operator()(V a, V b) const {
    return a + b;
  }
};
/// The larger; a NaN gives way to a number.
struct MaxOp {
  template <typename V>
  TRIREME_HD V operator()(V a, V b) const {
#ifdef __CUDA_ARCH__
    if constexpr (std::is_floating_point_v<V>) {
      return ::fmax(a, b);  // one instruction
    } else
#endif
    {
      return b > a || a != a ? b : a;
    }
  }
};

/// Two sums that a group forms in one reduction.
template <typename A>
struct Two {
  A first, second;
  TRIREME_HD friend Two operator+(Two a, Two b) { return {a.first + b.first, a.second + b.second}; }
};

template <typename Group, typename V>
TRIREME_HD inline V group_sum(const Group& group, V v) {
  return group.reduce(v, SumOp{});
}
template <typename Group, typename V>
TRIREME_HD inline V group_max(const Group& group, V v) {
  return group.reduce(v, MaxOp{});
}

}  // namespace trireme::kernels
