#include "kernels/matmul.h"

#include <array>
#include <optional>
#include <utility>

#include "core/autograd/attach.h"
#include "core/autograd/gradient_home.h"
#include "core/autograd/running_node.h"
#include "core/ops/as_rows.h"
#include "core/ops/autocast.h"
#include "core/ops/check.h"
#include "core/ops/ops.h"
#include "core/tensor/view.h"

namespace trireme {
namespace {

Shape leading_of(const Shape& shape) { return Shape(std::span(shape.begin(), shape.end() - 2)); }

/// x with the leading dimensions `leading`, repeated (stride 0) where it has none.
template <typename T>
StridedView<T> widened(const StridedView<T>& x, const Shape& leading) {
  const int rank = x.shape.rank();
  Shape shape = leading;
  shape.push_back(x.shape[rank - 2]);
  shape.push_back(x.shape[rank - 1]);
  return {x.data, shape, broadcast_strides(x.shape, x.strides, shape)};
}

/// out = a b over the leading dimensions of both, broadcast; what out lacks of them is summed.
template <typename T>
void multiply(Device device, const StridedView<const T>& a, const StridedView<const T>& b,
              const Tensor& out) {
  const Shape leading = broadcast_shapes("matmul", leading_of(a.shape), leading_of(b.shape));
  if (leading.product() == 0 || a.shape.back() == 0) {
    fill_inplace(out, 0);
    return;
  }
  on_device(device, [&](auto tag) {
    kernels::matmul(tag, widened(a, leading), widened(b, leading),
                    widened(as_view<T>(out), leading));
  });
}

/// a b, with b seen transposed if `b_transposed`, summed over what broadcasting had added to an
/// operand of `shape`: that operand's gradient.
Tensor gradient(const Tensor& a, bool a_transposed, const Tensor& b, bool b_transposed,
                const Shape& shape, const GradientHome& home) {
  Tensor result = home.empty(shape, {a.dtype(), a.device()});
  dispatch_floating("matmul", a.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto lhs = as_view<const T>(a), rhs = as_view<const T>(b);
    multiply<T>(a.device(), a_transposed ? transposed(lhs) : lhs,
                b_transposed ? transposed(rhs) : rhs, result);
  });
  return result;
}

/// The operand's layout, as far as its gradient's should follow it, and where that goes.
struct Layout {
  explicit Layout(const Tensor& x) : shape(x.shape()) {
    const int last = x.rank() - 1;
    is_transposed = x.strides()[last - 1] == 1 && x.strides()[last] > 1;
    if (is_transposed) {
      std::swap(shape[last - 1], shape[last]);
    } else {
      home = GradientHome(x);
    }
  }
  Shape of_operand() const {
    Shape result = shape;
    const int last = result.rank() - 1;
    if (is_transposed) std::swap(result[last - 1], result[last]);
    return result;
  }
  Shape shape;  // as the elements lie
  bool is_transposed;
  GradientHome home;  // of a gradient that is not transposed
};

/// da = dy b^T. Where a is a transposed matrix, its transposed gradient b dy^T is made and seen
/// transposed: behind a transpose (the tied head of a GPT) it is dense, and nothing is copied.
Tensor left_gradient(const Layout& a, const Tensor& b, const Tensor& dy) {
  if (is_recording()) return sum_to(matmul(dy, transpose(b, -2, -1)), a.of_operand());
  if (!a.is_transposed) return gradient(dy, false, b, true, a.shape, a.home);
  return views::transpose(gradient(b, false, dy, true, a.shape, a.home), -2, -1);
}

/// db = a^T dy, or transposed dy^T a.
Tensor right_gradient(const Tensor& a, const Layout& b, const Tensor& dy) {
  if (is_recording()) return sum_to(matmul(transpose(a, -2, -1), dy), b.of_operand());
  if (!b.is_transposed) return gradient(a, true, dy, false, b.shape, b.home);
  return views::transpose(gradient(dy, true, a, false, b.shape, b.home), -2, -1);
}

/// Saved in any case, because a checkpoint counts what is.
std::optional<Saved> save_if(bool needed, const Tensor& x) {
  Saved saved = save(x);
  return needed ? std::optional(std::move(saved)) : std::nullopt;
}

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b) {
  if (const auto in = detail::autocast<"matmul">(a, b)) return matmul(in[0], in[1]);
  detail::check_operands("matmul", a, b);
  require(a.rank() >= 2 && b.rank() >= 2, "matmul", "needs matrices, lhs is ", a.shape(),
          " but rhs is ", b.shape());
  require(a.size(-1) == b.size(-2), "matmul", "inner dimensions differ, lhs is ", a.shape(),
          " but rhs is ", b.shape());
  Shape shape = broadcast_shapes("matmul", leading_of(a.shape()), leading_of(b.shape()));
  shape.push_back(a.size(-2));
  shape.push_back(b.size(-1));
  Tensor y = dispatch_floating("matmul", a.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const Tensor out = empty(shape, {a.dtype(), a.device()});
    multiply<T>(a.device(), as_view<const T>(a), as_view<const T>(b), out);
    return out;
  });
  return attach_joint<2>(
      differentiable("matmul"), std::move(y), {&a, &b},
      [saved_a = save_if(b.requires_grad(), a), saved_b = save_if(a.requires_grad(), b),
       like_a = Layout(a),
       like_b = Layout(b)](const Tensor& dy, const std::array<bool, 2>& need) mutable {
        require(saved_a || !need[1], "backward",
                "the graph was already run and what matmul needs for its gradient was freed; pass "
                "retain_graph to the first backward");
        const Tensor right = need[0] ? (*saved_b)() : Tensor();  // throws before a is let go
        std::array<Tensor, 2> d;
        if (need[1]) d[1] = right_gradient((*saved_a)(), like_b, dy);
        // The other gradient may have the memory of a, which in a language model's head is where
        // most memory is in use.
        if (!detail::running_pass.keeps_graph) saved_a.reset();
        if (need[0]) d[0] = left_gradient(like_a, right, dy);
        return d;
      });
}

}  // namespace trireme
