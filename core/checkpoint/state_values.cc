#include "core/checkpoint/state_values.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/base/error.h"

namespace trireme {
namespace {

using nlohmann::json;

// JSON has no infinities and no NaN; as text they stay readable, and get_double understands them.
constexpr std::pair<const char*, double> kNotFinite[] = {
    {"inf", std::numeric_limits<double>::infinity()},
    {"-inf", -std::numeric_limits<double>::infinity()},
    {"nan", std::numeric_limits<double>::quiet_NaN()}};

json to_item(double value) {
  if (std::isfinite(value)) return value;
  if (std::isnan(value)) return "nan";
  return value > 0 ? "inf" : "-inf";
}
json to_item(int64_t value) { return value; }
json to_item(const std::string& value) { return value; }

}  // namespace

const StateValues::Value& StateValues::find(const std::string& name) const {
  const auto found = values_.find(name);
  if (found == values_.end()) {
    throw DataError(concat("checkpoint: the state must hold '", name, "', got no such value"));
  }
  return found->second;
}

int64_t StateValues::get_int(const std::string& name) const {
  if (const auto* value = std::get_if<int64_t>(&find(name))) return *value;
  throw DataError(concat("checkpoint: state '", name, "' must be a whole number"));
}

double StateValues::get_double(const std::string& name) const {
  const Value& value = find(name);
  if (const auto* number = std::get_if<double>(&value)) return *number;
  if (const auto* whole = std::get_if<int64_t>(&value)) return static_cast<double>(*whole);
  for (const auto& [text, number] : kNotFinite) {
    if (std::get<std::string>(value) == text) return number;
  }
  throw DataError(concat("checkpoint: state '", name, "' must be a number"));
}

std::string StateValues::get_string(const std::string& name) const {
  if (const auto* value = std::get_if<std::string>(&find(name))) return *value;
  throw DataError(concat("checkpoint: state '", name, "' must be a text"));
}

std::string StateValues::to_json() const {
  json items = json::object();
  for (const auto& [name, value] : values_) {
    items[name] = std::visit([](const auto& v) { return to_item(v); }, value);
  }
  // Bytes that are no UTF-8 (a path, say) are replaced: better than no checkpoint at all.
  return items.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

StateValues StateValues::from_json(const std::string& text, const std::string& path) {
  const json items = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!items.is_object()) throw DataError(concat("checkpoint: no JSON object in ", path));
  StateValues values;
  for (const auto& [name, item] : items.items()) {
    if (item.is_number_integer()) {
      values.set_int(name, item.get<int64_t>());
    } else if (item.is_number()) {
      values.set_double(name, item.get<double>());
    } else if (item.is_string()) {
      values.set_string(name, item.get<std::string>());
    } else {
      throw DataError(concat("checkpoint: '", name, "' must be a number or a text in ", path));
    }
  }
  return values;
}

}  // namespace trireme
