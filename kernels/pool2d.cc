#include "kernels/pool2d.h"

#include <algorithm>

#include "core/base/parallel_for.h"
#include "kernels/half_rows.h"

namespace trireme::kernels {
namespace {

/// The rows and columns that one output pixel sees.
struct Window {
  int64_t row_begin, row_end, col_begin, col_end;
  int64_t out;       // offset of channel 0 of the output pixel, in elements
  int64_t row, col;  // of the output pixel

  int64_t place(const Pool2dGeometry& g, int64_t r, int64_t c) const {
    return (r - g.rows.origin(row)) * g.cols.kernel + c - g.cols.origin(col);
  }
};
/// What each element of a window counts for in its mean.
template <typename T>
Acc<T> share_of(const Window& w) {
  return Acc<T>{1} / static_cast<Acc<T>>((w.row_end - w.row_begin) * (w.col_end - w.col_begin));
}
/// Calls fn(window) for every output pixel of an image.
template <typename Fn>
void each_window(const Pool2dGeometry& g, const Fn& fn) {
  int64_t out = 0;
  for (int64_t r = 0; r < g.rows.out; ++r) {
    for (int64_t c = 0; c < g.cols.out; ++c, out += g.channels) {
      fn(Window{g.rows.begin(r), g.rows.end(r), g.cols.begin(c), g.cols.end(c), out, r, c});
    }
  }
}

/// Calls fn(image) for every image, in parallel: no two write the same elements.
template <typename Fn>
void each_image(const Pool2dGeometry& g, const Fn& fn) {
  parallel_for(g.batch, 1, [&](int64_t begin, int64_t end) {
    for (int64_t image = begin; image < end; ++image) fn(image);
  });
}
int64_t in_elements(const Pool2dGeometry& g) { return g.rows.size * g.cols.size * g.channels; }
int64_t out_elements(const Pool2dGeometry& g) { return g.rows.out * g.cols.out * g.channels; }

}  // namespace

template <typename T, typename Place>
void max_pool2d(Cpu, const Pool2dGeometry& g, const T* x, T* y, Place* where) {
  each_image(g, [&](int64_t image) {
    const T* from = x + image * in_elements(g);
    each_window(g, [&](const Window& w) {
      T* most = y + image * out_elements(g) + w.out;
      Place* place = where + image * out_elements(g) + w.out;
      for (int64_t r = w.row_begin; r < w.row_end; ++r) {
        for (int64_t c = w.col_begin; c < w.col_end; ++c) {
          const auto at = static_cast<Place>(w.place(g, r, c));
          const T* pixel = from + (r * g.cols.size + c) * g.channels;
          if (r == w.row_begin && c == w.col_begin) {
            std::copy_n(pixel, g.channels, most);
            std::fill_n(place, g.channels, at);
            continue;
          }
          for (int64_t k = 0; k < g.channels; ++k) {
            // False for a NaN in most only: that stays.
            const bool larger = pixel[k] > most[k] || (pixel[k] != pixel[k] && most[k] == most[k]);
            most[k] = larger ? pixel[k] : most[k];
            place[k] = larger ? at : place[k];
          }
        }
      }
    });
  });
}

template <typename T, typename Place>
void max_pool2d_backward(Cpu, const Pool2dGeometry& g, const T* dy, const Place* where, T* dx) {
  each_image(g, [&](int64_t image) {
    Acc<T>* to = unfinished_row(Scratch::kBlock, dx + image * in_elements(g), in_elements(g));
    std::fill_n(to, in_elements(g), Acc<T>{0});
    each_window(g, [&](const Window& w) {
      const T* from = dy + image * out_elements(g) + w.out;
      const Place* place = where + image * out_elements(g) + w.out;
      for (int64_t r = w.row_begin; r < w.row_end; ++r) {
        for (int64_t c = w.col_begin; c < w.col_end; ++c) {
          const auto at = static_cast<Place>(w.place(g, r, c));
          Acc<T>* pixel = to + (r * g.cols.size + c) * g.channels;
          for (int64_t k = 0; k < g.channels; ++k) {
            pixel[k] += place[k] == at ? static_cast<Acc<T>>(from[k]) : Acc<T>{0};
          }
        }
      }
    });
    finish_row(to, dx + image * in_elements(g), in_elements(g));
  });
}

template <typename T>
void avg_pool2d(Cpu, const Pool2dGeometry& g, const T* x, T* y) {
  each_image(g, [&](int64_t image) {
    const T* from = x + image * in_elements(g);
    each_window(g, [&](const Window& w) {
      T* mean = y + image * out_elements(g) + w.out;
      Acc<T>* sum = unfinished_row(Scratch::kBlock, mean, g.channels);
      std::fill_n(sum, g.channels, Acc<T>{0});
      for (int64_t r = w.row_begin; r < w.row_end; ++r) {
        for (int64_t c = w.col_begin; c < w.col_end; ++c) {
          const T* pixel = from + (r * g.cols.size + c) * g.channels;
          for (int64_t k = 0; k < g.channels; ++k) sum[k] += pixel[k];
        }
      }
      const Acc<T> share = share_of<T>(w);
      for (int64_t k = 0; k < g.channels; ++k) sum[k] *= share;
      finish_row(sum, mean, g.channels);
    });
  });
}

template <typename T>
void avg_pool2d_backward(Cpu, const Pool2dGeometry& g, const T* dy, T* dx) {
  each_image(g, [&](int64_t image) {
    Acc<T>* to = unfinished_row(Scratch::kBlock, dx + image * in_elements(g), in_elements(g));
    std::fill_n(to, in_elements(g), Acc<T>{0});
    each_window(g, [&](const Window& w) {
      const T* from = dy + image * out_elements(g) + w.out;
      const Acc<T> share = share_of<T>(w);
      for (int64_t r = w.row_begin; r < w.row_end; ++r) {
        for (int64_t c = w.col_begin; c < w.col_end; ++c) {
          Acc<T>* pixel = to + (r * g.cols.size + c) * g.channels;
          for (int64_t k = 0; k < g.channels; ++k) pixel[k] += share * from[k];
        }
      }
    });
    finish_row(to, dx + image * in_elements(g), in_elements(g));
  });
}

#define TRIREME_INSTANTIATE_PLACE(T, Place)                                   \
  template void max_pool2d(Cpu, const Pool2dGeometry&, const T*, T*, Place*); \
  template void max_pool2d_backward(Cpu, const Pool2dGeometry&, const T*, const Place*, T*)
#define TRIREME_INSTANTIATE(T)                                        \
  TRIREME_INSTANTIATE_PLACE(T, uint8_t);                              \
  TRIREME_INSTANTIATE_PLACE(T, int32_t);                              \
  template void avg_pool2d(Cpu, const Pool2dGeometry&, const T*, T*); \
  template void avg_pool2d_backward(Cpu, const Pool2dGeometry&, const T*, T*)
TRIREME_INSTANTIATE(double);
TRIREME_INSTANTIATE(float);
TRIREME_INSTANTIATE(BFloat16);
TRIREME_INSTANTIATE(Float16);
#undef TRIREME_INSTANTIATE
#undef TRIREME_INSTANTIATE_PLACE

}  // namespace trireme::kernels
