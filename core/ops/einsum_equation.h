// The equation of einsum, read: which label stands where. No tensors.

#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/shape.h"

namespace trireme::detail {

/// A letter is a label, and so is each dimension that `...` stands for: 'A' to 'z', and kEllipsis
/// and above, where the last dimension is always the same label whatever the operand's rank.
using Label = int;
inline constexpr int kLabels = 128 + kMaxRank;
using Labels = std::vector<Label>;

struct EinsumEquation {
  std::vector<Labels> operands;  // a label for each dimension
  Labels output;
  std::array<int64_t, kLabels> extents;  // of each label; 1 only if all operands have 1 there
};

/// Throws InvalidArgument naming einsum for text that is no equation, and shapes that it does not
/// fit.
EinsumEquation read_einsum(std::string_view equation, std::span<const Shape> shapes);

}  // namespace trireme::detail
