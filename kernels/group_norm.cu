// Group normalisation: an image's group is shared by a warp to a block of 256 threads, in packs of
// 16 bytes where the groups are wide enough. Forward reads x three times, the second and third from
// the caches where a group fits (4 bytes per element from memory in 16-bit types), backward x and
// dy twice (6 bytes); the sums of dgamma and dbeta read them once more, in an order of their own
// that does not vary.

#include "kernels/group_norm.h"

#include "kernels/cuda/column_sums.cuh"
#include "kernels/cuda/group_norm_body.h"
#include "kernels/cuda/launch_rows.cuh"

namespace trireme::kernels {
namespace {

template <int W, typename Norm>
struct RowBody {
  Norm norm;
  template <typename Group>
  TRIREME_HD void operator()(const Group& group, int64_t r) const {
    norm.template row<W>(group, r);
  }
};

/// One row per image and group. `norm` says the rest; packed: every pointer and the width of a
/// group hold whole packs.
template <typename T, typename Norm>
void launch_groups(const char* op, Cuda device, Norm norm, bool packed) {
  constexpr int kW = kRowPack<T>, kPerThread = 8;
  const GroupedImages& of = norm.of;
  const auto launch_as = [&](auto width) {
    norm.packs_per_position = FastDivisor(static_cast<uint32_t>(of.width() / width));
    const int group = threads_per_row(of.positions * of.width() / width, kPerThread);
    launch_rows(op, device, of.batch * of.groups, group, RowBody<width, Norm>{norm});
  };
  if constexpr (kW > 1) {
    if (packed) return launch_as(Width<kW>{});
  }
  launch_as(Width<1>{});
}

}  // namespace

template <typename T>
void group_norm(Cuda device, const GroupedImages& of, const T* x, const T* gamma, const T* beta,
                double eps, T* y, Acc<T>* mean, Acc<T>* rstd) {
  constexpr int kW = kRowPack<T>;
  const GroupNormForward<T> norm{.of = of,
                                 .packs_per_position = {},
                                 .x = x,
                                 .gamma = gamma,
                                 .beta = beta,
                                 .eps = static_cast<Acc<T>>(eps),
                                 .y = y,
                                 .mean = mean,
                                 .rstd = rstd};
  launch_groups<T>("group_norm", device, norm,
                   of.width() % kW == 0 && are_packed<kW>(x, gamma, beta, y));
}

template <typename T>
void group_norm_backward(Cuda device, const GroupedImages& of, const T* x, const T* gamma,
                         const Acc<T>* mean, const Acc<T>* rstd, const T* dy, T* dx, T* dgamma,
                         T* dbeta) {
  constexpr const char* kOp = "group_norm backward";
  constexpr int kW = kRowPack<T>;
  if (dx) {
    const GroupNormBackward<T> norm{.of = of,
                                    .packs_per_position = {},
                                    .x = x,
                                    .gamma = gamma,
                                    .mean = mean,
                                    .rstd = rstd,
                                    .dy = dy,
                                    .dx = dx};
    launch_groups<T>(
        kOp, device, norm,
        of.width() % kW == 0 && are_packed<kW>(x, gamma, dy, static_cast<const T*>(dx)));
  }
  if (dgamma || dbeta) {
    launch_column_sums<1>(kOp, device, of.batch * of.positions, of.channels,
                          GroupNormTerms<T>{of, x, mean, rstd, dy},
                          ColumnResults<T, 2>{{dgamma, dbeta}});
  }
}

#define TRIREME_INSTANTIATE(T)                                                                     \
  template void group_norm(Cuda, const GroupedImages&, const T*, const T*, const T*, double, T*,   \
                           Acc<T>*, Acc<T>*);                                                      \
  template void group_norm_backward(Cuda, const GroupedImages&, const T*, const T*, const Acc<T>*, \
                                    const Acc<T>*, const T*, T*, T*, T*)
TRIREME_INSTANTIATE(double);
TRIREME_INSTANTIATE(float);
TRIREME_INSTANTIATE(BFloat16);
TRIREME_INSTANTIATE(Float16);
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels
