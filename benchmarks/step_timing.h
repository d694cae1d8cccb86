// What the benchmarks of training steps share.

#pragma once

#include <algorithm>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

namespace trireme {

inline double median_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// main() of a benchmark: runs it with the command line's words; an error is one line and 64.
inline int run_benchmark(int argc, char** argv, int (*run)(const std::vector<std::string>&)) {
  try {
    return run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 64;
  }
}

}  // namespace trireme
