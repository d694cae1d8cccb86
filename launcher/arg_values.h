// Texts to values. Each throws InvalidArgument `must be ..., got '...'`; the caller puts the flag's
// name before it.

#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace trireme {

bool parse_bool(const std::string& text);
int64_t parse_whole(const std::string& text);
int parse_int(const std::string& text);
/// Finite.
double parse_real(const std::string& text);
/// 90, 1.5s, 200ms, 5m, 2h; not negative.
std::chrono::milliseconds parse_duration(const std::string& text);

}  // namespace trireme
