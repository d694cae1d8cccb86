#include <algorithm>

#include "core/base/error.h"
#include "launcher/args.h"
#include "launcher/suggest.h"

namespace trireme {

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
      [least](double value) { return value >= least ? "" : concat("must be at least ", least); });
  return *this;
}

ArgFlag& ArgFlag::at_most(double most) {
  ranges_.push_back(
      [most](double value) { return value <= most ? "" : concat("must be at most ", most); });
  return *this;
}

ArgFlag& ArgFlag::above(double bound) {
  ranges_.push_back(
      [bound](double value) { return value > bound ? "" : concat("must be above ", bound); });
  return *this;
}

ArgFlag& ArgFlag::one_of(std::vector<std::string> choices) {
  choices_ = std::move(choices);
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
  std::string list;
  for (const std::string& choice : choices_) list += (list.empty() ? "" : ", ") + choice;
  throw InvalidArgument(
      concat("must be one of ", list, ", got '", text, "'", did_you_mean(text, choices_)));
}

}  // namespace trireme
