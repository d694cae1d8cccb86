#include <algorithm>

#include "core/base/error.h"
#include "launcher/args.h"
#include "launcher/suggest.h"

namespace trireme {
namespace {

/// Whole numbers with all their digits, not as 1.07374e+09.
std::string text_of(double value) {
  const auto whole = static_cast<int64_t>(value);
  return static_cast<double>(whole) == value ? std::to_string(whole) : concat(value);
}

std::string list_of(const std::vector<std::string>& choices) {
  std::string list;
  for (const std::string& choice : choices) list += (list.empty() ? "" : ", ") + choice;
  return list;
}

}  // namespace

ArgFlag& ArgFlag::value_name(std::string name) {
  value_name_ = std::move(name);
  return *this;
}

ArgFlag& ArgFlag::alias(std::string name) {
  spellings_.push_back(std::move(name));
  return *this;
}

ArgFlag& ArgFlag::required() {
  is_required_ = true;
  return default_text("");
}

ArgFlag& ArgFlag::default_text(std::string text) {
  default_text_ = std::move(text);
  return *this;
}

ArgFlag& ArgFlag::at_least(double least) {
  ranges_.push_back(
      [least](double value) { return value >= least ? "" : "must be at least " + text_of(least); });
  return *this;
}

ArgFlag& ArgFlag::at_most(double most) {
  ranges_.push_back(
      [most](double value) { return value <= most ? "" : "must be at most " + text_of(most); });
  return *this;
}

ArgFlag& ArgFlag::above(double bound) {
  ranges_.push_back(
      [bound](double value) { return value > bound ? "" : "must be above " + text_of(bound); });
  return *this;
}

ArgFlag& ArgFlag::one_of(std::vector<std::string> choices) {
  choices_ = std::move(choices);
  return *this;
}

ArgFlag& ArgFlag::only_with(std::string name, const std::string* value,
                            std::vector<std::string> choices) {
  check_company_ = [name = std::move(name), value, choices = std::move(choices)] {
    if (std::ranges::find(choices, *value) != choices.end()) return;
    throw InvalidArgument(
        concat("is read with ", name, " ", list_of(choices), " only, got ", name, " ", *value));
  };
  return *this;
}

void ArgFlag::check_number(double value, const std::string& text) const {
  for (const auto& range : ranges_) {
    const std::string broken = range(value);
    if (!broken.empty()) throw InvalidArgument(concat(broken, ", got ", text));
  }
}

void ArgFlag::check_text(const std::string& text) const {
  if (choices_.empty() || std::ranges::find(choices_, text) != choices_.end()) return;
  throw InvalidArgument(concat("must be one of ", list_of(choices_), ", got '", text, "'",
                               did_you_mean(text, choices_)));
}

}  // namespace trireme
