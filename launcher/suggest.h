// The known word that a mistyped one most likely meant.

#pragma once

#include <span>
#include <string>
#include <string_view>

namespace trireme {

/// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
int edit_distance(std::string_view a, std::string_view b);

/// The nearest known word if it is near enough to be meant, else "". Near enough: a third of the
/// letters may be wrong, or the word is a beginning of a known one.
std::string nearest(std::string_view word, std::span<const std::string> known);

/// "; did you mean X?", or "" if nothing is near.
std::string did_you_mean(std::string_view word, std::span<const std::string> known);

}  // namespace trireme
