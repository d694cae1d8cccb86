// A flag of ours on the command line of a Google Benchmark program, which refuses what it does not
// know.

#pragma once

#include <algorithm>
#include <cstring>
#include <string>

namespace trireme {

/// The value of `--name=value`, taken out of argv, or `fallback`. name: "--device=".
inline std::string take_flag(int& argc, char** argv, const char* name, const char* fallback) {
  const size_t length = std::strlen(name);
  for (int i = 1; i < argc; ++i) {
    if (std::strncmp(argv[i], name, length) != 0) continue;
    const std::string value = argv[i] + length;
    std::rotate(argv + i, argv + i + 1, argv + argc);
    --argc;
    return value;
  }
  return fallback;
}

}  // namespace trireme
