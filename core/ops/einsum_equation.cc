#include "core/ops/einsum_equation.h"

#include <algorithm>

#include "core/base/error.h"

namespace trireme::detail {
namespace {

constexpr Label kEllipsis = 128;  // behind every letter; stands for its dimensions while parsing

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/// The labels of one term, with kEllipsis where `...` stands.
Labels read_term(std::string_view equation, std::string_view term) {
  Labels labels;
  for (size_t i = 0; i < term.size(); ++i) {
    if (is_letter(term[i])) {
      labels.push_back(term[i]);
    } else {
      const bool is_first = std::count(labels.begin(), labels.end(), kEllipsis) == 0;
      require(term.substr(i, 3) == "..." && is_first, "einsum",
              "a term has letters and at most one '...', got '", term, "' in '", equation, "'");
      labels.push_back(kEllipsis);
      i += 2;
    }
  }
  return labels;
}

/// `...` replaced by the labels of the last `count` of its dimensions.
Labels unfolded(const Labels& labels, int count) {
  Labels all;
  for (Label label : labels) {
    if (label != kEllipsis) {
      all.push_back(label);
      continue;
    }
    for (int d = count - 1; d >= 0; --d) all.push_back(kEllipsis + d);
  }
  return all;
}

bool contains(const Labels& labels, Label label) {
  return std::find(labels.begin(), labels.end(), label) != labels.end();
}

/// `...`, then the letters that occur once.
Labels implied_output(const std::vector<Labels>& terms) {
  std::array<int, kLabels> uses{};
  for (const Labels& term : terms) {
    for (Label label : term) ++uses[static_cast<size_t>(label)];
  }
  Labels output;
  if (uses[kEllipsis] > 0) output.push_back(kEllipsis);
  for (Label label = 0; label < kEllipsis; ++label) {
    if (uses[static_cast<size_t>(label)] == 1) output.push_back(label);
  }
  return output;
}

}  // namespace

EinsumEquation read_einsum(std::string_view equation, std::span<const Shape> shapes) {
  std::string text(equation);
  std::erase(text, ' ');
  const std::string_view all = text;
  const size_t arrow = all.find("->");
  std::vector<Labels> terms;
  for (std::string_view rest = all.substr(0, arrow);;) {
    const size_t comma = rest.find(',');
    terms.push_back(read_term(equation, rest.substr(0, comma)));
    if (comma == std::string_view::npos) break;
    rest.remove_prefix(comma + 1);
  }
  require(terms.size() == shapes.size(), "einsum", "'", equation, "' needs ", terms.size(),
          " operands, got ", shapes.size());
  const bool has_output = arrow != std::string_view::npos;
  const Labels output =
      has_output ? read_term(equation, all.substr(arrow + 2)) : implied_output(terms);

  EinsumEquation result;
  result.extents.fill(-1);
  int most = 0;  // dimensions of any '...'
  for (size_t k = 0; k < terms.size(); ++k) {
    const int rank = shapes[k].rank(), letters = static_cast<int>(terms[k].size());
    const bool has_ellipsis = contains(terms[k], kEllipsis);
    require(has_ellipsis ? rank >= letters - 1 : rank == letters, "einsum", "operand ", k, " of '",
            equation, "' has the shape ", shapes[k]);
    if (has_ellipsis) most = std::max(most, rank - letters + 1);
    result.operands.push_back(unfolded(terms[k], has_ellipsis ? rank - letters + 1 : 0));
    for (int d = 0; d < rank; ++d) {
      const Label label = result.operands[k][static_cast<size_t>(d)];
      int64_t& extent = result.extents[static_cast<size_t>(label)];
      const int64_t here = shapes[k][d];
      require(extent < 0 || extent == here || extent == 1 || here == 1, "einsum", "dimension ", d,
              " of operand ", k, ", ", shapes[k], ", must have extent ", extent,
              " as the same label of '", equation, "' has elsewhere");
      if (extent < 0 || extent == 1) extent = here;
    }
  }
  result.output = unfolded(output, most);
  for (size_t i = 0; i < result.output.size(); ++i) {
    const Label label = result.output[i];
    require(result.extents[static_cast<size_t>(label)] >= 0 &&
                std::count(result.output.begin(), result.output.end(), label) == 1,
            "einsum", "the output must name labels of the operands once each, got '", equation,
            "'");
  }
  return result;
}

}  // namespace trireme::detail
