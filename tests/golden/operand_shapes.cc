#include "tests/golden/operand_shapes.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <sstream>

namespace trireme::testing {
namespace {

using Extents = std::vector<int64_t>;
using Patterns = std::map<std::string, std::string>;

/// A letter is an extent, the same wherever it stands; its capital is that many for each group of a
/// convolution or gate of a recurrent layer. `*` stands for any leading dimensions, the same
/// everywhere, `+` for such that broadcast with one another, and `~` before a pattern for what
/// broadcasts to it.
const std::map<std::string, Patterns>& demanded() {
  static const Patterns pair = {{"x", "*"}, {"targets", "*"}};
  static const Patterns elementwise = {{"a", "+"}, {"b", "+"}};
  static const Patterns norm = {{"x", "*c"},   {"residual", "*c"},    {"gamma", "c"},
                                {"beta", "c"}, {"running_mean", "c"}, {"running_var", "c"}};
  static const Patterns entropy = {{"logits", "*c"}, {"targets", "*"}, {"weight", "c"}};
  static const Patterns recurrent = {{"x", "nti"},     {"weight_ih", "iH"}, {"weight_hh", "hH"},
                                     {"bias_ih", "H"}, {"bias_hh", "H"},    {"h0", "nh"},
                                     {"c0", "nh"},     {"lengths", "n"}};
  static const std::map<std::string, Patterns> table = {
      {"add", elementwise},
      {"sub", elementwise},
      {"mul", elementwise},
      {"div", elementwise},
      {"maximum", elementwise},
      {"minimum", elementwise},
      {"equal", elementwise},
      {"not_equal", elementwise},
      {"less", elementwise},
      {"less_equal", elementwise},
      {"greater", elementwise},
      {"greater_equal", elementwise},
      {"logical_and", elementwise},
      {"logical_or", elementwise},
      {"logical_xor", elementwise},
      {"where", {{"condition", "+"}, {"a", "+"}, {"b", "+"}}},
      {"add_inplace", {{"y", "*"}, {"x", "~*"}}},
      {"masked_fill", {{"x", "+"}, {"mask", "+"}}},
      {"swiglu", {{"gate", "*"}, {"x", "*"}}},
      {"mse_loss", pair},
      {"l1_loss", pair},
      {"smooth_l1_loss", pair},
      {"huber_loss", pair},
      {"kl_div", pair},
      {"binary_cross_entropy_with_logits",
       {{"x", "*"}, {"targets", "*"}, {"weight", "~*"}, {"pos_weight", "~*"}}},
      {"cross_entropy", entropy},
      {"cross_entropy_inplace", entropy},
      {"nll_loss", {{"log_p", "*c"}, {"targets", "*"}, {"weight", "c"}}},
      {"layer_norm", norm},
      {"rms_norm", norm},
      {"group_norm", norm},
      {"residual_layer_norm", norm},
      {"residual_rms_norm", norm},
      {"batch_norm", norm},
      {"batch_norm_relu", norm},
      {"matmul", {{"a", "+ij"}, {"b", "+jk"}}},
      {"bmm", {{"a", "bij"}, {"b", "bjk"}}},
      {"addmm", {{"x", "~ik"}, {"a", "ij"}, {"b", "jk"}}},
      {"linear", {{"x", "*i"}, {"weight", "io"}, {"bias", "o"}}},
      {"feed_forward",
       {{"x", "*i"}, {"weight1", "ih"}, {"bias1", "h"}, {"weight2", "ho"}, {"bias2", "o"}}},
      {"conv2d", {{"x", "nyxC"}, {"weight", "oabc"}, {"bias", "o"}}},
      {"conv1d", {{"x", "nyC"}, {"weight", "oac"}, {"bias", "o"}}},
      {"conv_transpose2d", {{"x", "nyxc"}, {"weight", "cabo"}, {"bias", "O"}}},
      {"conv_transpose1d", {{"x", "nyc"}, {"weight", "cao"}, {"bias", "O"}}},
      {"rnn", recurrent},
      {"gru", recurrent},
      {"lstm", recurrent},
      {"scaled_dot_product_attention",
       {{"q", "bhtd"}, {"k", "bgsd"}, {"v", "bgsd"}, {"mask", "~bhts"}}},
      {"embedding", {{"weight", "vd"}, {"ids", "*"}}},
      {"index_select", {{"x", "*"}, {"index", "i"}}},
  };
  return table;
}

/// Of einsum: its equation says it.
Patterns patterns_of(const std::string& equation) {
  std::stringstream operands(equation.substr(0, equation.find("->")));
  Patterns patterns;
  for (std::string each; std::getline(operands, each, ',');) {
    if (each.starts_with("...")) each.replace(0, 3, "+");
    patterns.emplace("p" + std::to_string(patterns.size()), each);
  }
  return patterns;
}

bool broadcasts_to(const Extents& from, const Extents& to) {
  if (from.size() > to.size()) return false;
  for (size_t i = 1; i <= from.size(); ++i) {
    const int64_t n = from[from.size() - i];
    if (n != 1 && n != to[to.size() - i]) return false;
  }
  return true;
}

/// What the patterns read so far say.
class Agreement {
 public:
  /// stretches_ones: an extent of 1 fits any other, as in einsum.
  explicit Agreement(bool stretches_ones) : stretches_ones_(stretches_ones) {}

  bool takes(const std::string& pattern, const Extents& shape) {
    const bool leads = pattern[0] == '*' || pattern[0] == '+';
    const std::string letters = pattern.substr(leads ? 1 : 0);
    if (shape.size() < letters.size() || (!leads && shape.size() > letters.size())) return false;
    const auto first = shape.end() - static_cast<std::ptrdiff_t>(letters.size());
    for (size_t i = 0; i < letters.size(); ++i) {
      const int64_t n = first[static_cast<std::ptrdiff_t>(i)];
      if (stretches_ones_ && n == 1) continue;
      if (extents_.try_emplace(letters[i], n).first->second != n) return false;
    }
    const Extents leading(shape.begin(), first);
    if (pattern[0] == '*') {
      if (!leading_) leading_ = leading;
      return *leading_ == leading;
    }
    return pattern[0] != '+' || widen(leading);
  }

  bool takes_broadcast(const std::string& pattern, const Extents& shape) const {
    Extents to = pattern[0] == '*' ? leading_.value() : Extents{};
    for (char letter : pattern) {
      if (letter != '*') to.push_back(extents_.at(letter));
    }
    return broadcasts_to(shape, to);
  }

  bool has_multiples(int64_t of) const {
    for (const auto& [letter, n] : extents_) {
      const auto part = extents_.find(static_cast<char>(std::tolower(letter)));
      if (std::isupper(letter) && part != extents_.end() && n != of * part->second) return false;
    }
    return true;
  }

 private:
  bool widen(const Extents& by) {
    if (by.size() > wide_.size()) wide_.insert(wide_.begin(), by.size() - wide_.size(), 1);
    for (size_t i = 1; i <= by.size(); ++i) {
      int64_t& n = wide_[wide_.size() - i];
      if (n == 1) n = by[by.size() - i];
    }
    return broadcasts_to(by, wide_);
  }

  const bool stretches_ones_;
  std::map<char, int64_t> extents_;
  std::optional<Extents> leading_;
  Extents wide_;
};

/// Of gather and scatter_add: the index lies within the others, but along dim.
bool lie_within(const std::map<std::string, Extents>& shapes, int64_t dim) {
  const Extents &x = shapes.at("x"), &index = shapes.at("index");
  const Extents& src = shapes.contains("src") ? shapes.at("src") : index;
  if (index.size() != x.size() || src.size() != x.size()) return false;
  for (size_t d = 0; d < x.size(); ++d) {
    const bool is_dim = static_cast<int64_t>(d) == (dim < 0 ? dim + std::ssize(x) : dim);
    if (index[d] > src[d] || (!is_dim && index[d] > x[d])) return false;
  }
  return true;
}

bool join(const std::map<std::string, Extents>& shapes, int64_t dim) {
  const Extents& first = shapes.begin()->second;
  for (auto [name, shape] : shapes) {
    if (shape.size() != first.size()) return false;
    const auto at = static_cast<size_t>(dim < 0 ? dim + std::ssize(shape) : dim);
    shape[at] = first[at];
    if (shape != first) return false;
  }
  return true;
}

}  // namespace

bool shapes_agree(const GoldenCase& of, const std::string& changed, const Shape& to) {
  if (of.operands.size() == 1) return true;
  std::map<std::string, Extents> shapes;
  for (const GoldenValue& value : of.operands) {
    const Shape& shape = value.name == changed ? to : value.shape;
    shapes[value.name] = Extents(shape.begin(), shape.end());
  }
  if (of.op == "gather" || of.op == "scatter_add")
    return lie_within(shapes, of.arguments.at("dim"));
  if (of.op == "concat") return join(shapes, of.arguments.at("dim"));
  if (of.op == "stack")
    return std::all_of(shapes.begin(), shapes.end(),
                       [&](const auto& each) { return each.second == shapes.begin()->second; });
  const bool is_einsum = of.op == "einsum";
  const Patterns patterns =
      is_einsum ? patterns_of(of.arguments.at("equation")) : demanded().at(of.op);
  Agreement agreement(is_einsum);
  for (const auto& [name, shape] : shapes) {
    const std::string& pattern = patterns.at(name);
    if (pattern[0] != '~' && !agreement.takes(pattern, shape)) return false;
  }
  for (const auto& [name, shape] : shapes) {
    const std::string& pattern = patterns.at(name);
    if (pattern[0] == '~' && !agreement.takes_broadcast(pattern.substr(1), shape)) return false;
  }
  const int64_t gates = of.op == "lstm" ? 4 : of.op == "gru" ? 3 : 1;
  return agreement.has_multiples(of.arguments.value("groups", gates));
}

}  // namespace trireme::testing
