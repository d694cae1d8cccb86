// StateValues: the small named numbers and texts of a checkpoint (step, epoch, seed, schedule).

#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <variant>

namespace trireme {

/// Kept as one flat JSON object. Numbers come back exactly, infinities and NaN included. A 64-bit
/// seed or counter is stored as the int64 of the same bits.
class StateValues {
 public:
  using Value = std::variant<int64_t, double, std::string>;

  void set_int(const std::string& name, int64_t value) { values_[name] = value; }
  void set_double(const std::string& name, double value) { values_[name] = value; }
  void set_string(const std::string& name, std::string value) { values_[name] = std::move(value); }

  bool has(const std::string& name) const { return values_.contains(name); }
  /// Throw DataError naming the value when it is missing or of another kind.
  int64_t get_int(const std::string& name) const;
  double get_double(const std::string& name) const;  // takes a whole number too
  std::string get_string(const std::string& name) const;

  bool operator==(const StateValues&) const = default;

  std::string to_json() const;
  /// Throws DataError that names `path`, where the text comes from.
  static StateValues from_json(const std::string& text, const std::string& path);

 private:
  const Value& find(const std::string& name) const;

  std::map<std::string, Value> values_;
};

}  // namespace trireme
