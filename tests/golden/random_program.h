// Random programs from a seed, for tests against numerical differentiation.

#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "tests/golden/fuzz_program.h"

namespace trireme::testing {

/// `steps` steps whose loss is smooth near the inputs: values are small, and whatever an op decides
/// by comparing (a sign, an order, a maximum) is clear by a margin. The same seed gives the same
/// program.
Program make_random_program(uint64_t seed, int steps);

/// The ops that it chooses from.
std::set<std::string> random_program_ops();

}  // namespace trireme::testing
