#include "launcher/agent/summary.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <fstream>

#include "core/base/error.h"
#include "core/base/exit_code.h"
#include "launcher/agent/run_directory.h"
#include "launcher/agent/system_error.h"

namespace trireme {
namespace {

struct CodeMeaning {
  int code;
  const char* meaning;
  const char* hint;
};

constexpr int kOfSignal = kExitSignalBase;  // kOfSignal + n: killed by signal n

constexpr auto kMeanings = std::to_array<CodeMeaning>({
    {kExitUsage, "wrong flag or argument", "see the program's --help"},
    {kExitData, "bad data or checkpoint", "check the file that the message names"},
    {kExitUnavailable, "lost a peer or could not reach one",
     "no rank failed before it; look for the rank whose log ends first"},
    {kExitInternal, "a bug in Trireme", "please report it with the lines below"},
    {kExitOs, "the operating system refused",
     "check free space (df -h . /dev/shm), memory (free -h) and limits (ulimit -a)"},
    {kExitConfig, "contradicting environment", "unset the variables of an outer launcher"},
    {kExitCannotExec, "a program is not executable", ""},
    {kExitNotFound, "a program or library was not found", "check PATH and LD_LIBRARY_PATH"},
    {kOfSignal + SIGKILL, "",
     "most often the out-of-memory killer: see `dmesg`, or the container's memory limit"},
    {kOfSignal + SIGBUS, "",
     "shared memory or a mapped file may be full or cut short: df -h /dev/shm"},
    {kOfSignal + SIGILL, "",
     "the build may be for another CPU: configure with -DTRIREME_ARCH=x86-64-v3"},
    {kOfSignal + SIGSEGV, "", "for a stack trace: `ulimit -c unlimited`, run again, gdb"},
    {kOfSignal + SIGABRT, "", "an exception that nobody caught, or a failed assertion"},
});

const CodeMeaning* find_meaning(int code) {
  const auto found = std::ranges::find(kMeanings, code, &CodeMeaning::code);
  return found == kMeanings.end() ? nullptr : found;
}

/// How the others ended, in one line: "failed after it: rank 0 (exit code 69); ended by the
/// launcher: rank 2, 3"; "" if there are none.
std::string describe_others(const FailureReport& report) {
  const bool was_waited_for = did_not_answer(report.culprit);
  std::string victims;
  std::string ended;
  std::string fine;
  for (const RankExit& exit : report.exits) {
    if (exit.rank == report.culprit.rank) continue;
    std::string& list = exit.when != RankExit::When::kOnItsOwn && was_waited_for ? ended
                        : exit.succeeded()                                       ? fine
                        : exit.when == RankExit::When::kOnItsOwn                 ? victims
                                                                                 : ended;
    list += concat(list.empty() ? "" : ", ", exit.rank);
    if (&list == &victims) {
      list += exit.signal ? concat(" (", signal_name(exit.signal), ")")
                          : concat(" (exit code ", exit.exit_code, ")");
    }
  }
  std::string text;
  const auto add = [&text](const char* what, const std::string& list) {
    if (!list.empty()) text += concat(text.empty() ? "" : "; ", what, list);
  };
  add(was_waited_for ? "did not answer either: rank " : "ended by the launcher: rank ", ended);
  add(was_waited_for ? "gave up on it: rank " : "failed after it: rank ", victims);
  add("finished: rank ", fine);
  return text;
}

/// The rank whose log says what happened: the culprit, or the first that gave up on it.
const RankExit& witness_of(const FailureReport& report) {
  if (!did_not_answer(report.culprit)) return report.culprit;
  const auto first = std::ranges::find_if(
      report.exits, [](const RankExit& exit) { return exit.when == RankExit::When::kOnItsOwn; });
  return first == report.exits.end() ? report.culprit : *first;
}

std::string cut(std::string line, size_t most) {
  if (line.size() > most) line = line.substr(0, most) + " ...";
  return line;
}

}  // namespace

std::string describe_end(const RankExit& exit) {
  if (did_not_answer(exit)) return "did not answer";
  if (exit.signal) return "killed by " + signal_name(exit.signal);
  std::string text = concat("exit code ", exit.exit_code);
  const CodeMeaning* meaning = find_meaning(exit.exit_code);
  if (meaning && *meaning->meaning) text += concat(" (", meaning->meaning, ")");
  return text;
}

std::string hint_for(const RankExit& exit) {
  if (did_not_answer(exit)) {
    return "it was stopped, hung, or slower than TRIREME_TIMEOUT_SECONDS allows; what it printed "
           "last may say where";
  }
  const CodeMeaning* meaning = find_meaning(exit.code());
  return meaning ? meaning->hint : "";
}

std::vector<std::string> last_lines(const std::string& path, size_t most, int64_t begin) {
  constexpr std::streamoff kTailBytes = 64 * 1024;
  constexpr size_t kLongest = 240;
  std::ifstream file(path, std::ios::binary);
  file.seekg(0, std::ios::end);
  const std::streamoff size = file.tellg();
  file.seekg(std::max<std::streamoff>(begin, size - kTailBytes));
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    lines.push_back(cut(std::move(line), kLongest));
    if (lines.size() > most) lines.erase(lines.begin());
  }
  return lines;
}

std::string summarise(const FailureReport& report) {
  constexpr size_t kTailLines = 20;
  constexpr size_t kLongestLine = 400;
  const RankExit& culprit = report.culprit;
  char seconds[32];
  std::snprintf(seconds, sizeof seconds, "%.1f", culprit.seconds);
  std::string text = concat("trireme run: rank ", culprit.rank, " of ", report.ranks,
                            " failed: ", describe_end(culprit), "; host ", report.host, ", pid ",
                            culprit.pid, ", after ", seconds, " s\n");
  const std::string others = describe_others(report);
  if (!others.empty()) text += cut("  others: " + others, kLongestLine) + "\n";
  const std::string hint = hint_for(culprit);
  if (!hint.empty()) text += "  hint: " + hint + "\n";
  const RankExit& witness = witness_of(report);
  if (witness.rank != culprit.rank) {
    text += concat("  log: ", log_path(report.run_directory, culprit.rank, "stderr"),
                   "; noticed by rank ", witness.rank, "\n");
  }
  std::string stream = "stderr";
  const LogsBegin begin = report.logs_begin_of(witness.rank);
  std::vector<std::string> tail =
      last_lines(log_path(report.run_directory, witness.rank, stream), kTailLines, begin.err);
  if (tail.empty()) {
    stream = "stdout";
    tail = last_lines(log_path(report.run_directory, witness.rank, stream), kTailLines, begin.out);
  }
  if (tail.empty()) stream = "stderr";
  text += concat("  log: ", log_path(report.run_directory, witness.rank, stream));
  text += tail.empty() ? " (it printed nothing)\n" : ", which ends with\n";
  for (const std::string& line : tail) text += "  | " + line + "\n";
  return text;
}

}  // namespace trireme
