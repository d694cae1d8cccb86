#include "core/autograd/gradcheck.h"

#include <cmath>

#include "core/autograd/backward.h"
#include "core/autograd/no_grad.h"
#include "core/tensor/copy.h"
#include "core/tensor/create.h"
#include "core/tensor/view.h"

namespace trireme {
namespace {

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

// The i-th element of x in row-major order, whatever its strides, as a scalar that shares memory
// with x.
Tensor element(const Tensor& x, int64_t i) {
  int64_t offset = x.offset();
  for (int d = x.rank() - 1; d >= 0; --d) {
    offset += (i % x.shape()[d]) * x.strides()[d];
    i /= x.shape()[d];
  }
  return views::as_strided(x.detach(), {}, {}, offset);
}

}  // namespace

void gradcheck(const std::function<Tensor(const std::vector<Tensor>&)>& fn,
               const std::vector<Tensor>& inputs, GradcheckOptions options) {
  for (const Tensor& x : inputs) {
    if (!x.requires_grad()) continue;
    require(x.dtype() == DType::kF64, "gradcheck", "inputs must be f64, got ", x.dtype());
    require(x.is_leaf(), "gradcheck", "inputs must be leaves");
    Tensor(x).zero_grad();
  }
  const Tensor y = fn(inputs);
  Generator generator(20240520);
  const Tensor v = randn(y.shape(), generator, {y.dtype(), y.device()});
  const std::vector<double> weights = v.to_vector<double>();
  backward(y, {.gradient = v});

  NoGrad no_grad;
  std::vector<Tensor> gradients;
  for (const Tensor& x : inputs) {
    gradients.push_back(x.requires_grad() ? x.grad() : Tensor());
    Tensor(x).zero_grad();
  }
  for (size_t k = 0; k < inputs.size(); ++k) {
    const Tensor& x = inputs[k];
    if (!x.requires_grad()) continue;
    const std::vector<double> dx = gradients[k].defined()
                                       ? gradients[k].to_vector<double>()
                                       : std::vector<double>(static_cast<size_t>(x.numel()), 0.0);
    for (int64_t i = 0; i < x.numel(); ++i) {
      const Tensor value = element(x, i);
      const double original = value.item();
      fill_inplace(value, original + options.eps);
      const double above = dot(fn(inputs).to_vector<double>(), weights);
      fill_inplace(value, original - options.eps);
      const double below = dot(fn(inputs).to_vector<double>(), weights);
      fill_inplace(value, original);
      const double numeric = (above - below) / (2 * options.eps);
      const double analytic = dx[static_cast<size_t>(i)];
      const double allowed =
          options.absolute_tolerance + options.relative_tolerance * std::fabs(numeric);
      if (!(std::fabs(analytic - numeric) <= allowed)) {
        throw Error(concat("gradcheck: input ", k, " of shape ", x.shape(), ", element ", i,
                           ": backward gives ", analytic, " but differences give ", numeric));
      }
    }
  }
}

}  // namespace trireme
