// One kernel per time step: a thread takes 16 bytes of neighbouring hidden units, or one unit where
// the rows are not whole packs. Per unit an lstm reads 10 elements forward (the gates' two shares,
// h and c) and writes 6, a gru 7 and 5, an rnn 3 and 1; backward, an lstm reads 11 and writes 5,
// and dc passes twice in f32. A step is small: 32 rows of 512 units of an lstm in bf16 are 2,048
// packs and 0.5 MB, which is 0.1 us of an H200's memory; so its time is that of a launch, some
// microseconds. A captured graph hides most of it.

#include "kernels/recurrent.h"

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/recurrent_body.h"
#include "kernels/cuda/row_geometry.h"

namespace trireme::kernels {
namespace {

template <template <typename, typename> typename Body, typename Cell, typename T, typename Step>
void launch_cell(const char* op, Cuda device, const Step& step, bool packed) {
  const int64_t hidden = step.rows.hidden, count = step.rows.batch * hidden;
  if (count == 0) return;
  const Body<Cell, T> body{step, FastDivisor(static_cast<uint32_t>(hidden))};
  constexpr int kW = kRowPack<T>;
  if constexpr (kW > 1) {
    if (packed && hidden % kW == 0) return launch_packs<kW>(op, device, count, body);
  }
  launch_packs<1>(op, device, count, body);
}

template <int W, typename... P>
bool packed(const P*... pointers) {
  return are_packed<W>(pointers...);
}

}  // namespace

template <typename Cell, typename T>
void cell_step(Cuda device, const CellStep<T>& s) {
  const T *h = s.h, *c = s.c, *saved = s.saved;
  launch_cell<CellStepBody, Cell, T>(
      Cell::kName, device, s,
      packed<kRowPack<T>>(s.input, s.recurrent, s.h_prev, s.c_prev, h, c, saved));
}

template <typename Cell, typename T>
void cell_step_backward(Cuda device, const CellGradient<T>& s) {
  const T *dh = s.dh, *dinput = s.dinput, *drecurrent = s.drecurrent;
  // dc is wider than T: its packs are aligned to 16 bytes where whole packs of T are.
  launch_cell<CellGradientBody, Cell, T>(
      Cell::kName, device, s,
      is_aligned(s.dc, 16) && packed<kRowPack<T>>(s.saved, s.h_prev, s.h, s.c_prev, s.c, s.dy,
                                                  s.dc_out, dh, dinput, drecurrent));
}

#define TRIREME_INSTANTIATE_FOR(Cell, T)                      \
  template void cell_step<Cell, T>(Cuda, const CellStep<T>&); \
  template void cell_step_backward<Cell, T>(Cuda, const CellGradient<T>&);
#define TRIREME_INSTANTIATE(Cell)         \
  TRIREME_INSTANTIATE_FOR(Cell, double)   \
  TRIREME_INSTANTIATE_FOR(Cell, float)    \
  TRIREME_INSTANTIATE_FOR(Cell, BFloat16) \
  TRIREME_INSTANTIATE_FOR(Cell, Float16)
TRIREME_RECURRENT_CELLS(TRIREME_INSTANTIATE)

}  // namespace trireme::kernels
