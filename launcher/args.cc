#include "launcher/args.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/base/error.h"
#include "launcher/arg_values.h"
#include "launcher/suggest.h"

namespace trireme {

ArgParser::ArgParser(std::string program, std::string synopsis, std::string about)
    : program_(std::move(program)), synopsis_(std::move(synopsis)), about_(std::move(about)) {}

void ArgParser::section(std::string title) { section_ = std::move(title); }
void ArgParser::accept_command() { accepts_command_ = true; }
void ArgParser::footer(std::string text) { footer_ = std::move(text); }

ArgFlag& ArgParser::new_flag(std::string name, std::string value_name, std::string help) {
  ArgFlag& flag = flags_.emplace_back();
  flag.spellings_ = {std::move(name)};
  flag.section_ = section_;
  flag.help_ = std::move(help);
  flag.value_name_ = std::move(value_name);
  return flag;
}

ArgFlag& ArgParser::add(std::string name, bool* target, std::string help) {
  ArgFlag& flag = new_flag(std::move(name), "", std::move(help));
  flag.is_bool_ = true;
  flag.default_text_ = *target ? "true" : "";
  flag.set_ = [target](const std::string& text) { *target = parse_bool(text); };
  return flag;
}

ArgFlag& ArgParser::add(std::string name, int64_t* target, std::string help) {
  ArgFlag& flag = new_flag(std::move(name), "N", std::move(help));
  flag.default_text_ = std::to_string(*target);
  flag.set_ = [target, &flag](const std::string& text) {
    const int64_t value = parse_whole(text);
    flag.check_number(static_cast<double>(value), text);
    *target = value;
  };
  return flag;
}

ArgFlag& ArgParser::add(std::string name, int* target, std::string help) {
  ArgFlag& flag = new_flag(std::move(name), "N", std::move(help));
  flag.default_text_ = std::to_string(*target);
  flag.set_ = [target, &flag](const std::string& text) {
    const int value = parse_int(text);
    flag.check_number(value, text);
    *target = value;
  };
  return flag;
}

ArgFlag& ArgParser::add(std::string name, double* target, std::string help) {
  ArgFlag& flag = new_flag(std::move(name), "X", std::move(help));
  flag.default_text_ = concat(*target);
  flag.set_ = [target, &flag](const std::string& text) {
    const double value = parse_real(text);
    flag.check_number(value, text);
    *target = value;
  };
  return flag;
}

ArgFlag& ArgParser::add(std::string name, std::string* target, std::string help) {
  ArgFlag& flag = new_flag(std::move(name), "TEXT", std::move(help));
  flag.default_text_ = *target;
  flag.set_ = [target, &flag](const std::string& text) {
    flag.check_text(text);
    *target = text;
  };
  return flag;
}

ArgFlag& ArgParser::add(std::string name, std::chrono::milliseconds* target, std::string help) {
  ArgFlag& flag = new_flag(std::move(name), "TIME", std::move(help));
  flag.default_text_ = concat(static_cast<double>(target->count()) / 1000, "s");
  flag.set_ = [target, &flag](const std::string& text) {
    const std::chrono::milliseconds value = parse_duration(text);
    flag.check_number(static_cast<double>(value.count()) / 1000, text);
    *target = value;
  };
  return flag;
}

ArgFlag* ArgParser::find_or_null(const std::string& name) {
  for (ArgFlag& flag : flags_) {
    if (std::ranges::find(flag.spellings_, name) != flag.spellings_.end()) return &flag;
  }
  return nullptr;
}

ArgFlag& ArgParser::find(const std::string& name) {
  if (ArgFlag* flag = find_or_null(name)) return *flag;
  std::vector<std::string> known = {"--help"};
  for (const ArgFlag& flag : flags_) {
    known.insert(known.end(), flag.spellings_.begin(), flag.spellings_.end());
  }
  reject(concat("no such flag ", name, did_you_mean(name, known)));
}

void ArgParser::reject(const std::string& message) const {
  fail(program_.c_str(), message, " (see `", program_, " --help`)");
}

Parsed ArgParser::parse(std::span<const std::string> words) {
  Parsed parsed;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--help" || word == "-h") {
      parsed.wants_help = true;
      return parsed;
    }
    const bool is_end = word == "--";
    if (is_end || !word.starts_with('-')) {
      const auto command = words.subspan(is_end ? i + 1 : i);
      if (!accepts_command_ && !command.empty()) {
        reject(concat("takes flags only, got '", command.front(), "'"));
      }
      parsed.rest.assign(command.begin(), command.end());
      break;
    }
    const size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    ArgFlag& flag = find(name);
    std::string value = "true";
    if (equals != std::string::npos) {
      value = word.substr(equals + 1);
    } else if (!flag.is_bool_) {
      if (i + 1 == words.size()) {
        reject(concat(name, " needs a value: ", name, " ", flag.value_name_));
      }
      value = words[++i];
      if (value == "--" || value == "--help" || find_or_null(value.substr(0, value.find('=')))) {
        reject(concat(name, " needs a value: ", name, " ", flag.value_name_, ", got the flag ",
                      value, "; ", name, "=", value, " if it is meant"));
      }
    }
    try {
      flag.set_(value);
    } catch (const InvalidArgument& error) {
      reject(concat(name, " ", error.what()));
    }
    flag.was_given_ = true;
  }
  for (const ArgFlag& flag : flags_) {
    if (flag.is_required_ && !flag.was_given_) {
      reject(concat(flag.spellings_.front(), " ", flag.value_name_, " is missing: ", flag.help_));
    }
    if (!flag.was_given_) continue;
    try {
      flag.check_company_();
    } catch (const InvalidArgument& error) {
      reject(concat(flag.spellings_.front(), " ", error.what()));
    }
  }
  return parsed;
}

bool ArgParser::was_given(const std::string& name) const {
  for (const ArgFlag& flag : flags_) {
    if (std::ranges::find(flag.spellings_, name) != flag.spellings_.end()) return flag.was_given_;
  }
  fail("was_given", "the flag must have been added, got ", name);
}

}  // namespace trireme
