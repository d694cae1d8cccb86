// Every environment variable that Trireme itself defines, in one table.
//
// Code reads them through get_setting only, so the table is complete by construction and
// `trireme run --help` can print it. Variables that other software defines (RANK, WORLD_SIZE,
// OMPI_...) are read in distributed/env only.

#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace trireme {

/// What a setting may be: one of `texts` ("auto, off"; "" allows any), or a number of this range.
struct AllowedValues {
  const char* texts = "";
  int64_t least = INT64_MIN;
  int64_t most = INT64_MAX;
};

struct Setting {
  const char* name;
  const char* default_value;  // "" means unset
  const char* meaning;
  AllowedValues allowed = {};
};

std::span<const Setting> all_settings();

/// The variable's value, or its default when unset or empty. `name` must be in the table. Throws
/// InvalidArgument for a text that is not allowed.
std::string get_setting(std::string_view name);

/// The same as a whole number. Throws InvalidArgument when the text is not one, or not allowed.
int64_t get_setting_int(std::string_view name);

}  // namespace trireme
