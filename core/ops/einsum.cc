// Einstein summation: permutations, matmul and sums, whose gradients are its own.

#include <algorithm>

#include "core/ops/autocast.h"
#include "core/ops/check.h"
#include "core/ops/einsum_equation.h"
#include "core/ops/ops.h"

namespace trireme {
namespace {

using detail::EinsumEquation;
using detail::Label;
using detail::Labels;

/// A tensor and what its dimensions are called. Labels differ.
struct Term {
  Tensor x;
  Labels labels;
};

bool contains(const Labels& labels, Label label) {
  return std::find(labels.begin(), labels.end(), label) != labels.end();
}
size_t place_of(const Labels& labels, Label label) {
  return static_cast<size_t>(std::find(labels.begin(), labels.end(), label) - labels.begin());
}

/// Of two dimensions with one label only the diagonal counts: zeros elsewhere, and one is summed.
Term without_repeats(Term term) {
  for (size_t i = 0; i < term.labels.size(); ++i) {
    for (size_t j = term.labels.size() - 1; j > i; --j) {
      if (term.labels[j] != term.labels[i]) continue;
      const int first = static_cast<int>(i), second = static_cast<int>(j);
      const int64_t n = std::max(term.x.size(first), term.x.size(second));
      const TensorOptions options{DType::kI64, term.x.device()};
      const Tensor zero = scalar(0, {term.x.dtype(), term.x.device()});
      Shape rows = Dims::filled(term.x.rank(), 1), cols = rows;
      rows[first] = n;
      cols[second] = n;
      const Tensor is_diagonal =
          equal(reshape(arange(n, options), rows), reshape(arange(n, options), cols));
      term.x = sum(where(is_diagonal, term.x, zero), second);
      term.labels.erase(term.labels.begin() + static_cast<std::ptrdiff_t>(j));
    }
  }
  return term;
}

/// Sums out every label that neither `kept` has.
Term reduced(Term term, const Labels& kept, const Labels& also) {
  std::vector<int> dims;
  Labels left;
  for (size_t d = 0; d < term.labels.size(); ++d) {
    const Label label = term.labels[d];
    if (contains(kept, label) || contains(also, label)) {
      left.push_back(label);
    } else {
      dims.push_back(static_cast<int>(d));
    }
  }
  if (!dims.empty()) term.x = sum(term.x, dims);
  return {term.x, left};
}

/// x with its dimensions in the order of `wanted`, 1 where it has none, and full extents in `full`.
Tensor arranged(const Term& term, const Labels& wanted, const EinsumEquation& equation,
                const Labels& full) {
  std::vector<int> order;
  Shape shape, expanded;
  for (Label label : wanted) {
    int64_t extent = 1;
    if (contains(term.labels, label)) {
      order.push_back(static_cast<int>(place_of(term.labels, label)));
      extent = term.x.size(order.back());
    }
    shape.push_back(extent);
    expanded.push_back(contains(full, label) ? equation.extents[static_cast<size_t>(label)]
                                             : extent);
  }
  return expand(reshape(permute(term.x, order), shape), expanded);
}

struct Sets {
  Labels batch, rows, cols, summed;
};

int64_t product(const Labels& labels, const EinsumEquation& equation) {
  int64_t n = 1;
  for (Label label : labels) n *= equation.extents[static_cast<size_t>(label)];
  return n;
}

Labels joined(std::initializer_list<const Labels*> parts) {
  Labels all;
  for (const Labels* part : parts) all.insert(all.end(), part->begin(), part->end());
  require(all.size() <= kMaxRank, "einsum", "a product of two operands would have ", all.size(),
          " dimensions, the most are ", kMaxRank);
  return all;
}

/// a b, summed over what only they have and `kept` does not.
Term multiplied(const Term& a, const Term& b, const Labels& kept, const EinsumEquation& equation) {
  Sets sets;
  for (Label label : a.labels) {
    const bool shared = contains(b.labels, label);
    (!shared ? sets.rows : contains(kept, label) ? sets.batch : sets.summed).push_back(label);
  }
  for (Label label : b.labels) {
    if (!contains(a.labels, label)) sets.cols.push_back(label);
  }
  const Labels result = joined({&sets.batch, &sets.rows, &sets.cols});
  if (sets.summed.empty()) {
    return {mul(arranged(a, result, equation, {}), arranged(b, result, equation, {})), result};
  }
  const Labels left = joined({&sets.batch, &sets.rows, &sets.summed});
  const Labels right = joined({&sets.batch, &sets.summed, &sets.cols});
  const int64_t batch = product(sets.batch, equation), rows = product(sets.rows, equation);
  const int64_t cols = product(sets.cols, equation), summed = product(sets.summed, equation);
  const Tensor lhs = reshape(arranged(a, left, equation, left), {batch, rows, summed});
  const Tensor rhs = reshape(arranged(b, right, equation, right), {batch, summed, cols});
  Shape shape;
  for (Label label : result) shape.push_back(equation.extents[static_cast<size_t>(label)]);
  return {reshape(matmul(lhs, rhs), shape), result};
}

}  // namespace

Tensor einsum(std::string_view text, const std::vector<Tensor>& operands) {
  require(!operands.empty(), "einsum", "needs at least one operand");
  if (const auto in = detail::autocast_all<"einsum">(operands); !in.empty()) {
    return einsum(text, in);
  }
  std::vector<Shape> shapes;
  for (const Tensor& x : operands) {
    detail::check_operands("einsum", operands[0], x);
    shapes.push_back(x.shape());
  }
  dispatch_floating("einsum", operands[0].dtype(), [](auto) {});
  const EinsumEquation equation = detail::read_einsum(text, shapes);
  Term y;
  for (size_t k = 0; k < operands.size(); ++k) {
    Labels kept = equation.output;  // by what comes after this operand
    for (size_t later = k + 1; later < operands.size(); ++later) {
      const Labels& more = equation.operands[later];
      kept.insert(kept.end(), more.begin(), more.end());
    }
    const Term next = without_repeats({operands[k], equation.operands[k]});
    y = k == 0 ? reduced(next, kept, {})
               : multiplied(y, reduced(next, kept, y.labels), kept, equation);
  }
  std::vector<int> order;
  for (Label label : equation.output) {
    order.push_back(static_cast<int>(place_of(y.labels, label)));
  }
  return permute(y.x, order);
}

}  // namespace trireme
