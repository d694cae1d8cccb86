#include "core/autograd/gradcheck.h"

#include <cmath>

#include "core/autograd/backward.h"
#include "core/autograd/no_grad.h"
#include "core/tensor/copy.h"
#include "core/tensor/create.h"
#include "core/tensor/view.h"

namespace trireme {
namespace {

using Tensors = std::vector<Tensor>;
using Function = std::function<Tensors(const Tensors&)>;
constexpr uint64_t kSeed = 20240520;

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

// The sum of all results, weighted.
double weighted(const Tensors& results, const Tensors& weights) {
  double sum = 0;
  for (size_t k = 0; k < results.size(); ++k) {
    if (!results[k].defined()) continue;
    const std::vector<double> a = results[k].to_vector<double>();
    const std::vector<double> b = weights[k].to_vector<double>();
    for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  }
  return sum;
}

// The gradients of the weighted sum; undefined where nothing depends on an input.
Tensors gradients(const Tensors& results, const Tensors& weights, const Tensors& inputs) {
  Tensors outputs, output_gradients;
  for (size_t k = 0; k < results.size(); ++k) {
    if (!results[k].defined() || !results[k].requires_grad()) continue;
    outputs.push_back(results[k]);
    output_gradients.push_back(weights[k]);
  }
  if (outputs.empty() || inputs.empty()) return Tensors(inputs.size());
  return grad(outputs, inputs, {.output_gradients = output_gradients, .allow_unused = true});
}

void check(const char* who, const Function& fn, const Tensors& inputs, GradcheckOptions options) {
  Tensors wanted;
  std::vector<size_t> places;
  for (size_t k = 0; k < inputs.size(); ++k) {
    const Tensor& x = inputs[k];
    if (!x.defined() || !x.requires_grad()) continue;
    require(x.dtype() == DType::kF64, who, "inputs must be f64, got ", x.dtype());
    require(x.is_leaf(), who, "inputs must be leaves");
    wanted.push_back(x);
    places.push_back(k);
  }
  require(!wanted.empty(), who, "needs an input that requires a gradient, or nothing is checked");
  const Tensors results = fn(inputs);
  Generator generator(kSeed);
  Tensors weights;
  for (const Tensor& y : results) {
    weights.push_back(y.defined() ? randn(y.shape(), generator, {y.dtype(), y.device()}) : y);
  }
  const Tensors dx = gradients(results, weights, wanted);

  const NoGrad no_grad;
  for (size_t k = 0; k < wanted.size(); ++k) {
    const Tensor& x = wanted[k];
    const std::vector<double> analytic =
        (dx[k].defined() ? dx[k] : zeros_like(x)).to_vector<double>();
    for (int64_t i = 0; i < x.numel(); ++i) {
      const Tensor value = element(x, i);
      const double original = value.item();
      fill_inplace(value, original + options.eps);
      const double above = weighted(fn(inputs), weights);
      fill_inplace(value, original - options.eps);
      const double below = weighted(fn(inputs), weights);
      fill_inplace(value, original);
      const double numeric = (above - below) / (2 * options.eps);
      const double got = analytic[static_cast<size_t>(i)];
      const double allowed =
          options.absolute_tolerance + options.relative_tolerance * std::fabs(numeric);
      if (!(std::fabs(got - numeric) <= allowed)) {
        throw Error(concat(who, ": input ", places[k], " of shape ", x.shape(), ", element ", i,
                           ": backward gives ", got, " but differences give ", numeric));
      }
    }
  }
}

}  // namespace

void gradcheck(const std::function<Tensor(const std::vector<Tensor>&)>& fn,
               const std::vector<Tensor>& inputs, GradcheckOptions options) {
  const auto checked = [&](const Tensors& in) {
    const Tensor y = fn(in);
    require(y.defined(), "gradcheck", "needs a function with a result, got an undefined tensor");
    return Tensors{y};
  };
  check("gradcheck", checked, inputs, options);
}

void gradgradcheck(const std::function<Tensor(const std::vector<Tensor>&)>& fn,
                   const std::vector<Tensor>& inputs, GradcheckOptions options) {
  const Tensor y = fn(inputs);
  require(y.defined() && y.requires_grad(), "gradgradcheck",
          "the result does not require a gradient");
  Generator generator(kSeed + 1);
  Tensors all = inputs;
  all.push_back(randn(y.shape(), generator, {y.dtype(), y.device()}).set_requires_grad());
  const auto first_gradients = [&](const Tensors& in) {
    const EnableGrad record;
    const Tensors x(in.begin(), in.end() - 1);
    Tensors wanted;
    for (const Tensor& each : x) {
      if (each.defined() && each.requires_grad()) wanted.push_back(each);
    }
    return grad({fn(x)}, wanted,
                {.output_gradients = {in.back()}, .create_graph = true, .allow_unused = true});
  };
  check("gradgradcheck", first_gradients, all, options);
}

}  // namespace trireme
