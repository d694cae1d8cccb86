// Copies of x in another order, or with a border.

#include <limits>

#include "core/autograd/attach.h"
#include "core/ops/check.h"
#include "core/ops/dims.h"
#include "core/ops/ops.h"
#include "core/tensor/raw_view.h"
#include "core/tensor/view.h"

namespace trireme {
namespace {

Tensor flipped(const Tensor& x, uint32_t dims) {
  Tensor y = empty(x.shape(), {x.dtype(), x.device()});
  // Read backwards from the last element of each dimension.
  Strides strides = x.strides();
  int64_t first = 0;
  for (int d = 0; d < x.rank(); ++d) {
    if ((dims >> d & 1) == 0 || x.numel() == 0) continue;
    first += (x.shape()[d] - 1) * strides[d];
    strides[d] = -strides[d];
  }
  const void* from = static_cast<const char*>(x.raw_data()) + first * size_of(x.dtype());
  on_device(x.device(), [&](auto device) {
    kernels::copy(device, as_any_view(y), {from, x.dtype(), x.shape(), strides});
  });
  return attach(differentiable("flip"), std::move(y),
                wrt(x, [dims](const Tensor& dy) { return flipped(dy, dims); }));
}

struct Border {
  int64_t before, after;
};

/// x with borders of at least 0 around each dimension.
Tensor bordered(const Tensor& x, std::span<const Border> borders, double value) {
  Shape shape = x.shape();
  for (int d = 0; d < x.rank(); ++d) {
    const Border& b = borders[static_cast<size_t>(d)];
    shape[d] += b.before + b.after;
  }
  Tensor y = empty(shape, {x.dtype(), x.device()});
  // Each element is written once: a border, then what it encloses.
  Tensor inside = y;
  for (int d = 0; d < x.rank(); ++d) {
    const int64_t begin = borders[static_cast<size_t>(d)].before, end = begin + x.shape()[d];
    fill_inplace(views::slice(inside, d, 0, begin), value);
    fill_inplace(views::slice(inside, d, end, shape[d]), value);
    inside = views::slice(inside, d, begin, end);
  }
  copy_inplace(inside, x.detach());
  return attach(differentiable("pad"), std::move(y),
                wrt(x, [all = std::vector<Border>(borders.begin(), borders.end()),
                        inner = x.shape()](const Tensor& dy) {
                  Tensor dx = dy;
                  for (int d = 0; d < dy.rank(); ++d) {
                    const Border& b = all[static_cast<size_t>(d)];
                    if (b.before + b.after > 0) dx = slice(dx, d, b.before, b.before + inner[d]);
                  }
                  return dx;
                }));
}

}  // namespace

Tensor flip(const Tensor& x, std::span<const int> dims) {
  detail::check_operand("flip", x);
  return flipped(x, detail::dim_bits("flip", dims, x.shape()));
}

Tensor flip(const Tensor& x, std::initializer_list<int> dims) {
  return flip(x, std::span(dims.begin(), dims.size()));
}

Tensor pad(const Tensor& x, std::span<const int64_t> padding, double value) {
  detail::check_operand("pad", x);
  detail::check_scalar("pad", x, value);
  const auto pairs = static_cast<int>(padding.size() / 2);
  require(padding.size() % 2 == 0 && pairs <= x.rank(), "pad",
          "padding must be pairs {before, after}, at most one per dimension of ", x.shape(),
          ", got ", padding.size(), " numbers");
  std::vector<Border> borders(static_cast<size_t>(x.rank()), Border{0, 0});
  for (int i = 0; i < pairs; ++i) {
    const int d = x.rank() - 1 - i;
    const auto at = static_cast<size_t>(2 * i);
    const int64_t extent = x.shape()[d], before = padding[at], after = padding[at + 1];
    require(before >= -extent && after >= -extent &&
                extent + std::min<int64_t>(before, 0) + std::min<int64_t>(after, 0) >= 0,
            "pad", "cannot cut ", -before, " and ", -after, " from dimension ", d, " of ",
            x.shape());
    require(std::max(before, after) <= std::numeric_limits<int32_t>::max(), "pad",
            "padding must be below 2^31, got ", before, " and ", after);
    borders[static_cast<size_t>(d)] = {before, after};
  }
  Tensor inside = x;
  for (int d = 0; d < x.rank(); ++d) {
    Border& b = borders[static_cast<size_t>(d)];
    if (b.before < 0 || b.after < 0) {
      inside = slice(inside, d, std::max<int64_t>(-b.before, 0),
                     x.shape()[d] - std::max<int64_t>(-b.after, 0));
    }
    b = {std::max<int64_t>(b.before, 0), std::max<int64_t>(b.after, 0)};
  }
  return bordered(inside, borders, value);
}

Tensor pad(const Tensor& x, std::initializer_list<int64_t> padding, double value) {
  return pad(x, std::span(padding.begin(), padding.size()), value);
}

}  // namespace trireme
