// The cells of recurrent layers, one hidden unit at a time: one text for host and device.
//
// forward(x, r, h, c, saved) takes the input's and the state's share of each gate and turns the
// unit's state h, c into the next one. backward(saved, .., dh, dc, dx, dr) takes the gradients of
// the new state and leaves those of the old one. Arrays hold a value per gate.

#pragma once

#include "core/base/host_device.h"
#include "kernels/vector_math.h"

namespace trireme::kernels {

/// Hochreiter, Schmidhuber, "Long short-term memory", 1997, with the forget gate of Gers et al.,
/// 2000. Gates i, f, g, o: c = s(f) c + s(i) tanh(g), h = s(o) tanh(c).
struct LstmCell {
  static constexpr const char* kName = "lstm";
  static constexpr int kGates = 4, kSaved = 4;
  static constexpr bool kHasC = true, kOneGradient = true;

  template <typename A>
  TRIREME_HD static void forward(const A (&x)[4], const A (&r)[4], A& h, A& c, A (&saved)[4]) {
    saved[0] = vmath::sigmoid(x[0] + r[0]);
    saved[1] = vmath::sigmoid(x[1] + r[1]);
    saved[2] = vmath::tanh(x[2] + r[2]);
    saved[3] = vmath::sigmoid(x[3] + r[3]);
    c = saved[1] * c + saved[0] * saved[2];
    h = saved[3] * vmath::tanh(c);
  }
  template <typename A>
  TRIREME_HD static void backward(const A (&saved)[4], A /*h_prev*/, A /*h*/, A c_prev, A c, A& dh,
                                  A& dc, A (&dx)[4], A (&)[4]) {
    const A i = saved[0], f = saved[1], g = saved[2], o = saved[3];
    const A t = vmath::tanh(c);
    const A d = dc + dh * o * (A(1) - t * t);
    dx[0] = d * g * i * (A(1) - i);
    dx[1] = d * c_prev * f * (A(1) - f);
    dx[2] = d * i * (A(1) - g * g);
    dx[3] = dh * t * o * (A(1) - o);
    dh = A(0);
    dc = d * f;
  }
};

/// Cho et al., "Learning phrase representations using RNN encoder-decoder", 2014, with the reset
/// gate behind the product. Gates r, z, n: n = tanh(x_n + s(r) r_n), h = (1 - s(z)) n + s(z) h.
struct GruCell {
  static constexpr const char* kName = "gru";
  static constexpr int kGates = 3, kSaved = 4;
  static constexpr bool kHasC = false, kOneGradient = false;

  template <typename A>
  TRIREME_HD static void forward(const A (&x)[3], const A (&r)[3], A& h, A&, A (&saved)[4]) {
    saved[0] = vmath::sigmoid(x[0] + r[0]);
    saved[1] = vmath::sigmoid(x[1] + r[1]);
    saved[2] = vmath::tanh(x[2] + saved[0] * r[2]);
    saved[3] = r[2];
    h = saved[2] + saved[1] * (h - saved[2]);
  }
  template <typename A>
  TRIREME_HD static void backward(const A (&saved)[4], A h_prev, A /*h*/, A, A, A& dh, A&,
                                  A (&dx)[3], A (&dr)[3]) {
    const A reset = saved[0], z = saved[1], n = saved[2];
    const A dn = dh * (A(1) - z) * (A(1) - n * n);
    dx[0] = dr[0] = dn * saved[3] * reset * (A(1) - reset);
    dx[1] = dr[1] = dh * (h_prev - n) * z * (A(1) - z);
    dx[2] = dn;
    dr[2] = dn * reset;
    dh = dh * z;
  }
};

/// Elman, "Finding structure in time", 1990: h = tanh(x + r), or relu.
template <bool kIsRelu>
struct RnnCell {
  static constexpr const char* kName = "rnn";
  static constexpr int kGates = 1, kSaved = 0;
  static constexpr bool kHasC = false, kOneGradient = true;

  template <typename A, typename Saved>
  TRIREME_HD static void forward(const A (&x)[1], const A (&r)[1], A& h, A&, Saved&) {
    const A v = x[0] + r[0];
    if constexpr (kIsRelu) {
      h = v < A(0) ? A(0) : v;
    } else {
      h = vmath::tanh(v);
    }
  }
  template <typename A, typename Saved>
  TRIREME_HD static void backward(const Saved&, A /*h_prev*/, A h, A, A, A& dh, A&, A (&dx)[1],
                                  A (&)[1]) {
    if constexpr (kIsRelu) {
      dx[0] = h <= A(0) ? A(0) : dh;
    } else {
      dx[0] = dh * (A(1) - h * h);
    }
    dh = A(0);
  }
};

/// What every kernel is instantiated for.
#define TRIREME_RECURRENT_CELLS(X) \
  X(LstmCell)                      \
  X(GruCell) X(RnnCell<false>) X(RnnCell<true>)

}  // namespace trireme::kernels
