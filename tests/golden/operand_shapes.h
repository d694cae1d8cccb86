// What every op of several operands demands of their shapes.

#pragma once

#include <string>

#include "tests/golden/golden_case.h"

namespace trireme::testing {

/// Whether the operands of `of`, of which `changed` has the shape `to`, fit together. Throws
/// std::out_of_range for an op of several operands that the table does not have.
bool shapes_agree(const GoldenCase& of, const std::string& changed, const Shape& to);

}  // namespace trireme::testing
