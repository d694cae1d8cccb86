// metrics.jsonl: one JSON object per line, appended as training goes on.
//
//   JsonlSink sink("runs/a/metrics.jsonl");
//   sink.write({{"step", 10}, {"loss", 2.31}, {"learning_rate", 1e-3}});
//   -> {"step":10,"loss":2.31,"learning_rate":0.001}
//
// A resumed run appends; where it repeats steps, the later line counts. Used by one thread of one
// rank.

#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>
#include <variant>

namespace trireme {

/// Numbers that JSON cannot express (NaN, infinities) are written as null.
using JsonValue = std::variant<int64_t, double, std::string>;

struct JsonField {
  template <typename T>
  JsonField(std::string field_name, T field_value) : name(std::move(field_name)) {
    if constexpr (std::is_integral_v<T>) {
      value = static_cast<int64_t>(field_value);
    } else if constexpr (std::is_floating_point_v<T>) {
      value = static_cast<double>(field_value);
    } else {
      value = std::string(std::move(field_value));
    }
  }
  std::string name;
  JsonValue value;
};

class JsonlSink {
 public:
  /// Opens the file, or creates it. An unfinished last line, left by a crash, is removed. Throws
  /// IoError if the file cannot be written.
  explicit JsonlSink(std::string path);
  ~JsonlSink();
  JsonlSink(const JsonlSink&) = delete;

  /// Writes one line; it is in the file (not necessarily on the disk) when this returns. If the
  /// system refuses, warns once and drops this and all later lines: metrics do not stop training.
  void write(std::initializer_list<JsonField> fields) { write(fields.begin(), fields.end()); }
  template <typename Fields>
  void write(const Fields& fields) {
    write(fields.data(), fields.data() + fields.size());
  }

 private:
  void write(const JsonField* begin, const JsonField* end);

  std::string path_;
  int fd_ = -1;
};

}  // namespace trireme
