#include "core/ops/recurrent_sequence.h"

#include "core/autograd/attach.h"
#include "core/autograd/gradient_home.h"
#include "core/ops/as_rows.h"
#include "core/tensor/create.h"
#include "core/tensor/view.h"
#include "kernels/matmul.h"
#include "kernels/recurrent.h"

namespace trireme::detail {
namespace {

/// Extents, and where the steps' parts lie.
struct Layout {
  int64_t steps, batch, hidden;
  bool backward_in_time;

  int64_t state() const { return batch * hidden; }
  /// Time of step s, and the entries of states that it reads and writes.
  int64_t time(int64_t s) const { return backward_in_time ? steps - 1 - s : s; }
  int64_t before(int64_t s) const { return backward_in_time ? time(s) + 1 : time(s); }
  int64_t after(int64_t s) const { return backward_in_time ? time(s) : time(s) + 1; }
};

template <typename T>
StridedView<T> matrix(T* data, int64_t rows, int64_t cols) {
  return {data, {rows, cols}, {cols, 1}};
}

Layout layout_of(const SequenceOperands& in) {
  return {in.gates.size(0), in.gates.size(1), in.h0.size(-1), in.backward_in_time};
}

const int64_t* data_of(const Tensor& lengths) {
  return lengths ? lengths.data<int64_t>() : nullptr;
}

/// What backward needs.
struct Kept {
  Layout at;
  Saved states, hidden_weight;
  Tensor saved, lengths;
  GradientHome dweight, dbias;
};

template <typename Cell, typename T>
void run(const SequenceOperands& in, const Layout& at, const Tensor& states, const Tensor& saved,
         bool keeps) {
  constexpr int64_t kG = Cell::kGates, kS = Cell::kSaved;
  const int64_t width = kG * at.hidden, size = at.state();
  const Tensor gates = dense(in.gates), weight = dense(in.hidden_weight);
  const Tensor bias = in.hidden_bias ? dense(in.hidden_bias) : Tensor();
  // A cell of as many saved values as gates turns the product into them in place.
  const bool in_place = kS == kG;
  const Tensor product =
      in_place ? Tensor() : empty({at.batch, width}, {states.dtype(), states.device()});
  T* const h = states.data<T>();
  T* const c = Cell::kHasC ? h + (at.steps + 1) * size : nullptr;
  on_device(states.device(), [&](auto device) {
    for (int64_t s = 0; s < at.steps; ++s) {
      const int64_t t = at.time(s), from = at.before(s) * size, to = at.after(s) * size;
      T* kept = kS > 0 ? saved.data<T>() + (keeps ? t : 0) * at.batch * kS * at.hidden : nullptr;
      T* part = in_place ? kept : product.data<T>();
      kernels::matmul(device, StridedView<const T>(matrix<T>(h + from, at.batch, at.hidden)),
                      StridedView<const T>(matrix<T>(weight.data<T>(), at.hidden, width)),
                      matrix<T>(part, at.batch, width), bias ? bias.data<T>() : nullptr);
      kernels::CellStep<T> step{};
      step.rows = {at.batch, at.hidden, t, data_of(in.lengths)};
      step.input = gates.data<T>() + t * at.batch * width;
      step.recurrent = part;
      step.h_prev = h + from;
      step.h = h + to;
      if (c) {
        step.c_prev = c + from;
        step.c = c + to;
      }
      step.saved = kept;
      kernels::cell_step<Cell>(device, step);
    }
  });
}

/// Gradients of gates, weight, bias, h0 and c0.
template <typename Cell, typename T>
std::array<Tensor, 5> gradients(const Kept& kept, const Tensor& dstates,
                                const std::array<bool, 5>& need) {
  constexpr int64_t kG = Cell::kGates, kS = Cell::kSaved;
  const Layout& at = kept.at;
  const int64_t width = kG * at.hidden, size = at.state();
  const Tensor &states = kept.states(), weight = dense(kept.hidden_weight()),
               given = dense(dstates);
  const TensorOptions options{states.dtype(), states.device()};
  const TensorOptions wide{acc_dtype(states.dtype()), states.device()};
  Tensor dgates = empty({at.steps, at.batch, width}, options);
  const Tensor dproduct = Cell::kOneGradient ? dgates : empty(dgates.shape(), options);
  const Tensor dh = zeros({at.batch, at.hidden}, options);
  const Tensor dc = Cell::kHasC ? zeros({at.batch, at.hidden}, wide) : Tensor();
  std::array<Tensor, 5> d;
  if (need[1]) d[1] = kept.dweight.empty({at.hidden, width}, options);
  if (need[2]) d[2] = kept.dbias.empty({width}, options);
  const T *h = states.data<T>(), *dy = given.data<T>();
  const int64_t of_c = (at.steps + 1) * size;
  // What a step leaves in dh besides the product: nothing, for cells that pass the state through
  // gates only, unless a sequence has ended.
  const bool adds = !Cell::kOneGradient || kept.lengths;
  on_device(states.device(), [&](auto device) {
    for (int64_t s = at.steps - 1; s >= 0; --s) {
      const int64_t t = at.time(s), from = at.before(s) * size, to = at.after(s) * size;
      kernels::CellGradient<T> step{};
      step.rows = {at.batch, at.hidden, t, data_of(kept.lengths)};
      if (kS > 0) step.saved = kept.saved.data<T>() + t * at.batch * kS * at.hidden;
      step.h_prev = h + from;
      step.h = h + to;
      step.dy = dy + to;
      step.dh = dh.data<T>();
      if constexpr (Cell::kHasC) {
        step.c_prev = h + of_c + from;
        step.c = h + of_c + to;
        step.dc_out = dy + of_c + to;
        step.dc = dc.data<Acc<T>>();
      }
      step.dinput = dgates.data<T>() + t * at.batch * width;
      if (!Cell::kOneGradient) step.drecurrent = dproduct.data<T>() + t * at.batch * width;
      kernels::cell_step_backward<Cell>(device, step);
      if (s == 0 && !need[3]) break;  // nobody asks what the first state gets
      const T* from_product = dproduct.data<T>() + t * at.batch * width;
      kernels::matmul(
          device, StridedView<const T>{from_product, {at.batch, width}, {width, 1}},
          transposed(StridedView<const T>(matrix<T>(weight.data<T>(), at.hidden, width))),
          matrix<T>(dh.data<T>(), at.batch, at.hidden), nullptr,
          adds ? kernels::Write::kAccumulate : kernels::Write::kOverwrite);
    }
    const int64_t rows = at.steps * at.batch;
    const T* before = h + (at.backward_in_time ? size : 0);
    const T* all = dproduct.data<T>();
    if (need[1]) {
      kernels::matmul(device,
                      transposed(StridedView<const T>{before, {rows, at.hidden}, {at.hidden, 1}}),
                      StridedView<const T>{all, {rows, width}, {width, 1}}, as_view<T>(d[1]));
    }
    if (need[2]) {
      kernels::column_sums(device, MatrixView<const T>{all, rows, width, width}, d[2].data<T>());
    }
  });
  d[0] = std::move(dgates);
  d[3] = dh;
  if (need[4]) d[4] = cast(dc, states.dtype());
  return d;
}

}  // namespace

template <typename Cell>
Tensor recurrent_sequence(const SequenceOperands& in) {
  const Layout at = layout_of(in);
  const TensorOptions options{in.gates.dtype(), in.gates.device()};
  const std::array<const Tensor*, 5> inputs{&in.gates, &in.hidden_weight, &in.hidden_bias, &in.h0,
                                            &in.c0};
  bool keeps = false;
  for (const Tensor* x : inputs) keeps = keeps || (x->defined() && x->requires_grad());
  keeps = keeps && is_recording();
  constexpr int64_t kStates = Cell::kHasC ? 2 : 1;
  Tensor states = empty({kStates, at.steps + 1, at.batch, at.hidden}, options);
  {
    const NoGrad no_history;
    const int64_t first = at.backward_in_time ? at.steps : 0;
    const auto entry = [&](int64_t i) {
      return views::as_strided(states, {at.batch, at.hidden}, {at.hidden, 1},
                               (i * (at.steps + 1) + first) * at.state());
    };
    copy_inplace(entry(0), in.h0.detach());
    if (Cell::kHasC) copy_inplace(entry(1), in.c0.detach());
  }
  // Without a gradient to come, one step's memory serves all.
  const Tensor saved = empty({keeps ? at.steps : 1, at.batch, Cell::kSaved * at.hidden}, options);
  dispatch_floating(Cell::kName, options.dtype, [&](auto tag) {
    run<Cell, typename decltype(tag)::type>(in, at, states, saved, keeps);
  });
  if (!keeps) return states;
  Kept kept{at,
            save_output(states),
            save(in.hidden_weight),
            saved,
            in.lengths,
            GradientHome(in.hidden_weight),
            GradientHome(in.hidden_bias)};
  return attach_joint<5>(
      Cell::kName, std::move(states), inputs,
      [kept = std::move(kept)](const Tensor& dy, const std::array<bool, 5>& need) {
        return dispatch_floating(Cell::kName, dy.dtype(), [&](auto tag) {
          return gradients<Cell, typename decltype(tag)::type>(kept, dy, need);
        });
      });
}

#define TRIREME_INSTANTIATE(Cell) \
  template Tensor recurrent_sequence<kernels::Cell>(const SequenceOperands&);
TRIREME_RECURRENT_CELLS(TRIREME_INSTANTIATE)

}  // namespace trireme::detail
