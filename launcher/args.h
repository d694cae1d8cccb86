// Command-line flags bound to variables, with --help made from the same table.
//
//   TrainOptions options;
//   ArgParser parser("trireme-train gpt", "[flags]", "Trains a GPT.");
//   parser.section("Optimizer");
//   parser.add("--steps", &options.steps, "optimizer steps").at_least(1);
//   parser.add("--optimizer", &options.optimizer, "update rule").one_of({"adamw", "sgd"});
//   const Parsed parsed = parser.parse(words);
//   if (parsed.wants_help) std::cout << parser.help();
//
// A flag's default is the variable's value at the time of add(). Values are written `--steps 10` or
// `--steps=10`; one that is itself the name of a flag needs the second form. A bool is set by
// `--sample`, `--sample=true` or `--sample=false`. The last of several wins. Everything a user can
// get wrong throws InvalidArgument naming the flag, what it takes, and for an unknown flag the
// nearest known one; programs leave with kExitUsage (64).

#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace trireme {

/// One flag. Its methods refine it and return it again, so that they can be chained.
class ArgFlag {
 public:
  /// The value's name in --help: `--out DIR`. Default: by type (N, X, TEXT, TIME).
  ArgFlag& value_name(std::string name);
  /// Another name: add("--ranks", ...).alias("-n").
  ArgFlag& alias(std::string name);
  /// Parsing fails unless the flag is given.
  ArgFlag& required();
  /// Shown instead of the variable's value: "lr / 10". "" shows no default.
  ArgFlag& default_text(std::string text);
  /// Allowed range of a number, ends included.
  ArgFlag& at_least(double least);
  ArgFlag& at_most(double most);
  ArgFlag& above(double bound);  // greater than bound
  /// Allowed texts.
  ArgFlag& one_of(std::vector<std::string> choices);
  /// Read only where the text flag `name`, bound to `value`, is one of `choices`: given beside
  /// another one it is an error, not silence.
  ArgFlag& only_with(std::string name, const std::string* value, std::vector<std::string> choices);

 private:
  friend class ArgParser;
  void check_number(double value, const std::string& text) const;
  void check_text(const std::string& text) const;

  std::vector<std::string> spellings_;  // "--ranks", "-n"
  std::string section_;
  std::string help_;
  std::string value_name_;  // "" for a bool
  std::string default_text_;
  std::vector<std::string> choices_;
  std::vector<std::function<std::string(double)>> ranges_;  // "" if allowed, else what must hold
  std::function<void(const std::string&)> set_;
  std::function<void()> check_company_ = [] {};  // of only_with
  bool is_bool_ = false;
  bool is_required_ = false;
  bool was_given_ = false;
};

struct Parsed {
  bool wants_help = false;        // --help or -h was there; nothing else was checked
  std::vector<std::string> rest;  // the command that follows, see ArgParser::accept_command
};

class ArgParser {
 public:
  /// program: "trireme run", begins every error. synopsis: what follows it in the usage line.
  /// about: a paragraph or more; lines are kept as they are.
  ArgParser(std::string program, std::string synopsis, std::string about);

  /// Flags added from now on stand under this title in --help.
  void section(std::string title);

  /// `target` must live until parse() has returned. `help` is a phrase without a full stop.
  ArgFlag& add(std::string name, bool* target, std::string help);
  ArgFlag& add(std::string name, int* target, std::string help);
  ArgFlag& add(std::string name, int64_t* target, std::string help);
  ArgFlag& add(std::string name, double* target, std::string help);
  ArgFlag& add(std::string name, std::string* target, std::string help);
  /// Written in seconds, or with a unit: 90, 1.5s, 200ms, 5m, 2h.
  ArgFlag& add(std::string name, std::chrono::milliseconds* target, std::string help);

  /// Words after `--`, or from the first word on that is no flag, are a command and go to
  /// Parsed::rest unchanged. Without this call such words are errors.
  void accept_command();
  /// Text below the flags in --help.
  void footer(std::string text);

  /// words: without the program's name. Requires parse() to be called once.
  Parsed parse(std::span<const std::string> words);
  /// After parse(): whether the user gave the flag (by any of its names).
  bool was_given(const std::string& name) const;

  std::string help() const;

 private:
  ArgFlag& new_flag(std::string name, std::string value_name, std::string help);
  ArgFlag* find_or_null(const std::string& name);
  ArgFlag& find(const std::string& name);
  [[noreturn]] void reject(const std::string& message) const;

  std::string program_;
  std::string synopsis_;
  std::string about_;
  std::string footer_;
  std::string section_;
  bool accepts_command_ = false;
  std::deque<ArgFlag> flags_;  // a deque keeps references valid
};

}  // namespace trireme
