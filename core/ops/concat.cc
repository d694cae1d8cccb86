#include "core/autograd/edge_list.h"
#include "core/autograd/no_grad.h"
#include "core/ops/autocast.h"
#include "core/ops/map.h"
#include "core/ops/ops.h"
#include "core/tensor/copy.h"
#include "core/tensor/view.h"

namespace trireme {
namespace {

// attach() knows the number of inputs at compile time; here it is known at run time. The gradient
// of each part is its slice of dy.
class ConcatNode final : private EdgeList, public Node {
 public:
  ConcatNode(const Tensor& y, const std::vector<Tensor>& parts, int dim)
      : EdgeList(parts), Node("concat", y, list.data(), static_cast<int>(list.size())), dim_(dim) {
    for (const Tensor& part : parts) extents_.push_back(part.shape()[dim]);
  }
  void apply(const Tensor& dy, Tensor* dx) override {
    int64_t begin = 0;
    for (size_t i = 0; i < extents_.size(); ++i) {
      if (list[i]) dx[i] = slice(dy, dim_, begin, begin + extents_[i]);
      begin += extents_[i];
    }
  }
  bool is_differentiable() const override { return true; }
  void release_saved() override {}  // keeps no tensor

 private:
  int dim_;
  std::vector<int64_t> extents_;
};

}  // namespace

Tensor concat(const std::vector<Tensor>& parts, int dim) {
  require(!parts.empty(), "concat", "needs at least one tensor");
  if (const auto in = detail::autocast_all<"concat">(parts); !in.empty()) return concat(in, dim);
  for (const Tensor& part : parts) detail::check_operands("concat", parts[0], part);
  const Shape& first = parts[0].shape();
  dim = normalize_dim("concat", dim, first.rank());
  Shape shape = first;
  shape[dim] = 0;
  bool needs_grad = false;
  for (const Tensor& part : parts) {
    Shape like = part.shape();
    if (like.rank() == first.rank()) like[dim] = first[dim];
    require(like == first, "concat", "shapes may differ in dimension ", dim, " only, got ", first,
            " and ", part.shape());
    shape[dim] += part.shape()[dim];
    needs_grad = needs_grad || part.requires_grad();
  }
  Tensor y = empty(shape, {parts[0].dtype(), parts[0].device()});
  int64_t begin = 0;
  for (const Tensor& part : parts) {
    const int64_t end = begin + part.shape()[dim];
    copy_inplace(views::slice(y, dim, begin, end), part.detach());
    begin = end;
  }
  if (needs_grad && is_recording()) y.set_autograd_meta(make_ref<ConcatNode>(y, parts, dim));
  return y;
}

}  // namespace trireme
