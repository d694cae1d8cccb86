// One time step of a recurrent layer: what happens to the gates between two matrix products.
//
// A cell (kernels/recurrent_cells.h) has kGates gates per hidden unit. Rows of gates are [kGates,
// hidden] in the cell's order. Every array is dense and begins at the step's first row. Reads and
// writes each element once; 16-bit elements are computed in f32 and rounded once per result.

#pragma once

#include <cstdint>

#include "core/base/device_tag.h"
#include "core/base/half.h"
#include "kernels/recurrent_cells.h"

namespace trireme::kernels {

/// Whom a step concerns: rows whose sequence is not longer than `time` keep their state.
struct StepRows {
  int64_t batch, hidden, time;
  const int64_t* lengths;  // [batch], null: all sequences go on
};

/// From the input's and the previous state's share of the gates to the next state. `recurrent` and
/// `saved` may be the same memory where the cell saves as many values as it has gates, `recurrent`
/// and `h` where it has one.
template <typename T>
struct CellStep {
  StepRows rows;
  const T* input;            // [batch, kGates, hidden]
  const T* recurrent;        // [batch, kGates, hidden]
  const T *h_prev, *c_prev;  // [batch, hidden]; c only for cells that have one
  T *h, *c;
  T* saved;  // [batch, kSaved, hidden], for the gradient
};
template <typename Cell, typename T>
void cell_step(Cpu, const CellStep<T>& step);
template <typename Cell, typename T>
void cell_step(Cuda, const CellStep<T>& step);

/// Gradients of the gates' shares. With `dh` the gradient that later steps give h, dy and dc_out
/// what the results give h and c, it leaves in dh and dc what h_prev and c_prev get directly: what
/// they get through the gates is the product of drecurrent and the weight, to be added.
template <typename T>
struct CellGradient {
  StepRows rows;
  const T* saved;
  const T *h_prev, *h, *c_prev, *c;
  const T *dy, *dc_out;  // [batch, hidden]
  T* dh;
  Acc<T>* dc;
  T* dinput;      // [batch, kGates, hidden]
  T* drecurrent;  // the same; null for cells where both are equal (kOneGradient)
};
template <typename Cell, typename T>
void cell_step_backward(Cpu, const CellGradient<T>& step);
template <typename Cell, typename T>
void cell_step_backward(Cuda, const CellGradient<T>& step);

}  // namespace trireme::kernels
