// Elements by their number along one dimension, and the sums that go back there.
//
// Forward: one element a thread and step, offsets from its index (cuda/strided.h), neighbouring
// threads neighbouring elements of the dense result; ids and x are read once, y is written once.
// Backward is deterministic: each element's place in y is a number, the numbers are sorted together
// with their positions (cuda/radix_sort.cuh), and a thread sums 32 sorted entries at a time
// (cuda/embedding_body.h with rows of one element). That moves some 16 bytes per element and pass
// of the sort, of which there are up to four. Ids outside are reported by find_outside; they read
// number 0, and add nothing.

#include "kernels/gather.h"

#include "core/cuda/memory.h"
#include "kernels/cuda/embedding_body.h"
#include "kernels/cuda/radix_sort.cuh"
#include "kernels/cuda/strided.h"
#include "kernels/element_size.h"

namespace trireme::kernels {
namespace {

template <typename T, typename Id>
struct GatherBody {
  StridedIndex<3> index;  // of y, ids and x
  const Id* ids;
  const T* x;
  int64_t step, bound;
  T* y;
  template <int>
  TRIREME_HD void run(int64_t i) const {
    const auto offset = index.at(i);
    const Id id = ids[offset[1]];
    const int64_t number = id < 0 || id >= bound ? 0 : static_cast<int64_t>(id);
    y[offset[0]] = x[offset[2] + number * step];
  }
};

/// The place in y that each element of src is added to, -1 for none.
template <typename Id>
struct TargetBody {
  StridedIndex<2> index;  // of src, and where its line starts in y
  const Id* ids;
  int64_t step, bound;
  int64_t* targets;
  template <int>
  TRIREME_HD void run(int64_t i) const {
    const auto offset = index.at(i);
    const Id id = ids[offset[0]];
    targets[offset[0]] = id < 0 || id >= bound ? -1 : offset[1] + static_cast<int64_t>(id) * step;
  }
};

template <typename T>
struct SumBody {
  RunSums<T> runs;
  template <int>
  TRIREME_HD void run(int64_t chunk) const {
    runs.template sum_chunk<1>(chunk, 0);
  }
};

template <typename T>
struct FinishBody {
  RunSums<T> runs;
  template <int>
  TRIREME_HD void run(int64_t chunk) const {
    if (runs.starts_run(chunk)) runs.template finish_run<1>(chunk, 0);
  }
};

}  // namespace

template <typename Id>
void gather(Cuda device, ConstAnyView x, int dim, const StridedView<const Id>& ids, void* y) {
  if (ids.count() == 0 || x.shape[dim] == 0) return;
  const Strides y_strides = contiguous_strides(ids.shape);
  Strides x_strides = x.strides;
  x_strides[dim] = 0;
  const auto loop = plan_loop<3>(ids.shape, {&y_strides, &ids.strides, &x_strides});
  dispatch_size(x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch_packs<1>(
        "gather", device, loop.count,
        GatherBody<T, Id>{StridedIndex<3>(loop), ids.data, static_cast<const T*>(x.data),
                          x.strides[dim], x.shape[dim], static_cast<T*>(y)});
  });
}

template <typename T, typename Id>
void scatter_sum(Cuda device, const StridedView<const T>& src, int dim, const Id* ids,
                 const StridedView<T>& y) {
  constexpr const char* kOp = "scatter_add";
  fill(device, AnyView{y.data, dtype_of<T>, y.shape, y.strides}, 0);
  const int64_t count = src.count(), places = y.count();
  if (count == 0 || places == 0) return;
  require_sortable(kOp, count, places);
  const Strides from = contiguous_strides(src.shape);
  Strides to = y.strides;
  to[dim] = 0;
  const auto loop = plan_loop<2>(src.shape, {&from, &to});
  const cuda::Workspace targets(device, count * int64_t{sizeof(int64_t)});
  launch_packs<1>(kOp, device, count,
                  TargetBody<Id>{StridedIndex<2>(loop), ids, y.strides[dim], y.shape[dim],
                                 targets.as<int64_t>()});
  const SortGeometry g = sort_geometry(count, places);
  const cuda::Workspace sorting(device, sort_workspace(g) * int64_t{sizeof(uint32_t)});
  const SortedIds sorted =
      sort_ids(kOp, device, g, targets.as<int64_t>(), places, sorting.as<uint32_t>());
  RunSums<T> runs{
      sorted.keys, sorted.positions, count, static_cast<uint32_t>(places), src.data, 1, y.data, 1,
      1,           nullptr};
  const cuda::Workspace partials(device, runs.chunks() * 2 * int64_t{sizeof(Acc<T>)});
  runs.partials = partials.as<Acc<T>>();
  launch_packs<1>(kOp, device, runs.chunks(), SumBody<T>{runs});
  launch_packs<1>(kOp, device, runs.chunks(), FinishBody<T>{runs});
}

template void gather(Cuda, ConstAnyView, int, const StridedView<const int64_t>&, void*);
template void gather(Cuda, ConstAnyView, int, const StridedView<const int32_t>&, void*);
#define TRIREME_INSTANTIATE_ID(T, Id)                                                 \
  template void scatter_sum<T, Id>(Cuda, const StridedView<const T>&, int, const Id*, \
                                   const StridedView<T>&);
#define TRIREME_INSTANTIATE(T)       \
  TRIREME_INSTANTIATE_ID(T, int64_t) \
  TRIREME_INSTANTIATE_ID(T, int32_t)
TRIREME_INSTANTIATE(double)
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(BFloat16)
TRIREME_INSTANTIATE(Float16)
TRIREME_INSTANTIATE(int64_t)
TRIREME_INSTANTIATE(int32_t)
#undef TRIREME_INSTANTIATE
#undef TRIREME_INSTANTIATE_ID

}  // namespace trireme::kernels
