// How an op follows Autocast: its first line converts the operands and starts over.
//
//   Tensor softmax(const Tensor& x, int dim) {
//     if (const auto in = detail::autocast<"softmax">(x)) return softmax(in[0], dim);
//     ...
//
// Outside a guard that line costs one look at a thread-local. An op without a row in
// autocast_table.h does not compile.

#pragma once

#include <algorithm>
#include <array>
#include <span>
#include <vector>

#include "core/autograd/autocast_state.h"
#include "core/ops/autocast_table.h"
#include "core/tensor/tensor.h"

namespace trireme::detail {

/// Low-precision casts of weights (leaves that collect gradients), so that a weight used twice is
/// converted once and its gradient flows back once. A cast is dropped when its weight's version
/// changes. Of one thread.
class WeightCasts {
 public:
  Tensor cast(const Tensor& weight, DType dtype);

 private:
  struct Entry {
    Tensor weight, cast;
    uint32_t version;
    bool recorded;  // the cast has a history
  };
  std::vector<Entry> entries_;
};

/// The operands of a call, converted; false if they are what they should be.
template <size_t N>
struct CastOperands {
  std::array<Tensor, N> tensors;
  bool any = false;

  explicit operator bool() const { return any; }
  const Tensor& operator[](size_t i) const { return tensors[i]; }
};

/// Undefined operands stay undefined. Writes to `out` and returns true if anything changes.
bool convert_operands(Precision precision, std::span<const Tensor* const> in, Tensor* out);

/// The name of an op as a template argument.
template <size_t Size>
struct OpName {
  consteval OpName(const char (&text)[Size]) { std::copy_n(text, Size, chars); }
  char chars[Size];
};

template <OpName kName>
consteval Precision precision_of() {
  for (const OpPrecision& row : kAutocastTable) {
    if (row.op == kName.chars) return row.precision;
  }
  throw "the op has no row in autocast_table.h";
}

template <OpName kName, typename... Tensors>
CastOperands<sizeof...(Tensors)> autocast(const Tensors&... operands) {
  constexpr Precision kPrecision = precision_of<kName>();
  static_assert(kPrecision <= Precision::kWidest, "ops of this precision convert nothing");
  CastOperands<sizeof...(Tensors)> result;
  if (autocast_state.is_on()) [[unlikely]] {
    const std::array<const Tensor*, sizeof...(Tensors)> in{&operands...};
    result.any = convert_operands(kPrecision, in, result.tensors.data());
  }
  return result;
}

/// For the op of any number of operands.
template <OpName kName>
std::vector<Tensor> autocast_all(const std::vector<Tensor>& operands) {
  std::vector<Tensor> result;
  if (!autocast_state.is_on()) [[likely]]
    return result;
  std::vector<const Tensor*> in;
  for (const Tensor& x : operands) in.push_back(&x);
  result.resize(in.size());
  if (!convert_operands(precision_of<kName>(), in, result.data())) result.clear();
  return result;
}

}  // namespace trireme::detail
