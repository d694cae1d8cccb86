#include "launcher/arg_values.h"

#include <charconv>
#include <cmath>
#include <string_view>

#include "core/base/error.h"

namespace trireme {
namespace {

[[noreturn]] void reject(const char* what, std::string_view text) {
  throw InvalidArgument(concat("must be ", what, ", got '", text, "'"));
}

template <typename T>
T parse_number(std::string_view text, const char* what) {
  T value{};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || stop != end || text.empty()) reject(what, text);
  return value;
}

}  // namespace

bool parse_bool(const std::string& text) {
  if (text == "true" || text == "1" || text == "yes" || text == "on") return true;
  if (text == "false" || text == "0" || text == "no" || text == "off") return false;
  reject("true or false", text);
}

int64_t parse_whole(const std::string& text) {
  return parse_number<int64_t>(text, "a whole number");
}

int parse_int(const std::string& text) { return parse_number<int>(text, "a whole number"); }

double parse_real(const std::string& text) {
  const double value = parse_number<double>(text, "a number");
  if (!std::isfinite(value)) reject("a finite number", text);
  return value;
}

std::chrono::milliseconds parse_duration(const std::string& text) {
  constexpr const char* kWhat = "a time such as 90, 1.5s, 200ms, 5m or 2h";
  constexpr double kLongestSeconds = 1e9;  // 31 years; more would overflow a deadline
  const size_t unit_at = text.find_first_not_of("0123456789.");
  const std::string unit = unit_at == std::string::npos ? "s" : text.substr(unit_at);
  double seconds_per_unit = 0;
  if (unit == "ms") seconds_per_unit = 1e-3;
  if (unit == "s") seconds_per_unit = 1;
  if (unit == "m") seconds_per_unit = 60;
  if (unit == "h") seconds_per_unit = 3600;
  if (seconds_per_unit == 0 || unit_at == 0) reject(kWhat, text);
  double seconds = 0;
  try {
    seconds = parse_real(text.substr(0, unit_at)) * seconds_per_unit;
  } catch (const InvalidArgument&) {
    reject(kWhat, text);
  }
  if (seconds > kLongestSeconds) reject("at most 1e9 seconds", text);
  return std::chrono::milliseconds(std::llround(seconds * 1000));
}

}  // namespace trireme
