#include <sstream>

#include "core/base/error.h"
#include "launcher/args.h"

namespace trireme {
namespace {

constexpr size_t kColumns = 96;
constexpr size_t kHelpColumn = 30;

/// Appends words of `text`, broken before kColumns, continued at `indent`; `column` is where the
/// line stands now.
void wrap(std::ostringstream& out, const std::string& text, size_t column, size_t indent) {
  std::istringstream words(text);
  std::string word;
  bool is_first = true;
  while (words >> word) {
    if (!is_first && column + 1 + word.size() > kColumns) {
      out << "\n" << std::string(indent, ' ');
      column = indent;
      is_first = true;
    }
    out << (is_first ? "" : " ") << word;
    column += word.size() + (is_first ? 0 : 1);
    is_first = false;
  }
  out << "\n";
}

}  // namespace

std::string ArgParser::help() const {
  std::ostringstream out;
  out << "Usage: " << program_ << " " << synopsis_ << "\n\n" << about_ << "\n";
  const std::string* section = nullptr;
  for (const ArgFlag& flag : flags_) {
    if (!section || *section != flag.section_) {
      out << "\n" << (flag.section_.empty() ? "Flags" : flag.section_) << ":\n";
      section = &flag.section_;
    }
    std::string left = "  ";
    for (size_t i = flag.spellings_.size(); i-- > 0;) {
      left += flag.spellings_[i] + (i > 0 ? ", " : "");
    }
    std::string choices;
    for (const std::string& choice : flag.choices_) {
      choices += (choices.empty() ? "" : "|") + choice;
    }
    if (!choices.empty()) {
      left += " " + choices;
    } else if (!flag.value_name_.empty()) {
      left += " " + flag.value_name_;
    }
    if (left.size() + 2 > kHelpColumn) {
      left += "\n" + std::string(kHelpColumn, ' ');
    } else {
      left.resize(kHelpColumn, ' ');
    }
    std::string right = flag.help_;
    if (flag.is_required_) right += " (required)";
    if (!flag.default_text_.empty()) right += " (default " + flag.default_text_ + ")";
    out << left;
    wrap(out, right, kHelpColumn, kHelpColumn);
  }
  if (!footer_.empty()) out << "\n" << footer_ << "\n";
  return out.str();
}

}  // namespace trireme
