#include "kernels/nll_loss.h"

#include "kernels/cuda/nll_loss_body.h"
#include "kernels/rows.h"

namespace trireme::kernels {

template <typename T, typename Id>
void nll_loss(Cpu, MatrixView<const T> log_p, const NllTargets<T, Id>& of, Acc<T>* loss,
              Acc<T>* counted) {
  each_row(log_p.rows, of.smoothing > 0 ? log_p.cols : 1, [&](int64_t r) {
    const NllRow<T, Id> row(of, log_p.cols, r);
    row.forward(SerialGroup{}, log_p.row(r), loss + r, counted + r);
  });
}

template <typename T, typename Id>
void nll_loss_backward(Cpu, const NllTargets<T, Id>& of, const Acc<T>* dloss,
                       MatrixView<T> dlog_p) {
  each_row(dlog_p.rows, dlog_p.cols, [&](int64_t r) {
    NllRow<T, Id>(of, dlog_p.cols, r).backward(SerialGroup{}, dloss[r], dlog_p.row(r));
  });
}

#define TRIREME_INSTANTIATE(T, Id)                                                              \
  template void nll_loss(Cpu, MatrixView<const T>, const NllTargets<T, Id>&, Acc<T>*, Acc<T>*); \
  template void nll_loss_backward(Cpu, const NllTargets<T, Id>&, const Acc<T>*, MatrixView<T>)
TRIREME_INSTANTIATE(float, int64_t);
TRIREME_INSTANTIATE(float, int32_t);
TRIREME_INSTANTIATE(double, int64_t);
TRIREME_INSTANTIATE(double, int32_t);
TRIREME_INSTANTIATE(BFloat16, int64_t);
TRIREME_INSTANTIATE(BFloat16, int32_t);
TRIREME_INSTANTIATE(Float16, int64_t);
TRIREME_INSTANTIATE(Float16, int32_t);
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels
