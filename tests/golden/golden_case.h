// Golden values: what PyTorch gives for an op or module, and its gradients (tests/golden/make.py).

#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "core/tensor/tensor.h"

namespace trireme::testing {

/// Row-major numbers of an operand or a result, with the dtype that torch had for them. f64 stands
/// for the dtype under test.
struct GoldenValue {
  std::string name;  // of an operand
  Shape shape;
  DType dtype = DType::kF64;
  std::vector<double> values;
};

enum class Compare {
  kClose,     // within a bound relative to max(1, |want|)
  kRelative,  // within a bound relative to |want|, for numbers of any size
  kExact      // what rounding torch's f64 result to the dtype gives
};

struct GoldenCase {
  std::string name;  // "softmax.3"
  std::string op;    // the function or class that it is about
  nlohmann::json arguments;
  std::vector<GoldenValue> operands, results;
  /// Gradients of results, by their position: empty where nothing can be differentiated.
  std::map<size_t, std::vector<double>> upstream;
  std::map<std::string, std::vector<double>> gradients;  // by operand
  /// An f64 or f32 result may be off by slack times 1e-12 or 1e-6, a gradient by 8 times as much.
  double slack = 1;
  /// A 16-bit result may be off by that many roundings of 2^-8 or 2^-11, plus f32's bound; a
  /// gradient by 8 more.
  double roundings = 1;
  double more_on_cuda = 0;  // roundings of results there, by the contract of the kernel
  Compare compare = Compare::kClose;
  std::vector<DType> dtypes;  // in which all operands exist
};

/// The cases of all files below tests/golden that hold some, in order of file and case.
const std::vector<GoldenCase>& golden_cases();

enum class GoldenPart { kResult, kGradient };

/// Expects `got` to have `shape` and these values, within the case's bounds for operands of
/// `dtype`. Numbers too large for got's dtype are infinite there; a NaN equals a NaN.
void expect_golden(const GoldenCase& of, DType dtype, GoldenPart part, const Tensor& got,
                   const Shape& shape, const std::vector<double>& want);

}  // namespace trireme::testing
