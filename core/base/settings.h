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

struct Setting {
  const char* name;
  const char* default_value;  // "" means unset
  const char* meaning;
};

std::span<const Setting> all_settings();

/// The variable's value, or its default when unset or empty. `name` must be in the table.
std::string get_setting(std::string_view name);

/// The same as a whole number. Throws InvalidArgument when the text is not one.
int64_t get_setting_int(std::string_view name);

}  // namespace trireme
