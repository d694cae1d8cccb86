#include <fstream>

#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "launcher/agent/run_directory.h"
#include "launcher/agent/summary.h"
#include "launcher/agent/system_error.h"

namespace trireme {
namespace {

using Json = nlohmann::ordered_json;

const char* role_of(const RankExit& exit, const FailureReport& report) {
  if (exit.rank == report.culprit.rank) return "culprit";
  if (did_not_answer(exit) && did_not_answer(report.culprit)) return "did_not_answer";
  if (exit.succeeded()) return "finished";
  return exit.when == RankExit::When::kOnItsOwn ? "victim" : "ended_by_launcher";
}

Json describe(const RankExit& exit) {
  Json json = {{"rank", exit.rank}, {"pid", exit.pid}, {"seconds", exit.seconds}};
  if (exit.signal) {
    json["signal"] = exit.signal;
    json["signal_name"] = signal_name(exit.signal);
  } else {
    json["exit_code"] = exit.exit_code;
  }
  return json;
}

}  // namespace

std::string failure_json_path(const std::string& run_directory) {
  return run_directory + "/failure.json";
}

void write_failure_json(const FailureReport& report) {
  constexpr size_t kTailLines = 20;
  const int rank = report.culprit.rank;
  const std::string stderr_log = log_path(report.run_directory, rank, "stderr");
  Json culprit = describe(report.culprit);
  culprit["end"] = describe_end(report.culprit);
  culprit["hint"] = hint_for(report.culprit);
  culprit["stdout_log"] = log_path(report.run_directory, rank, "stdout");
  culprit["stderr_log"] = stderr_log;
  culprit["stderr_tail"] = last_lines(stderr_log, kTailLines, report.logs_begin_of(rank).err);
  Json ranks = Json::array();
  for (const RankExit& exit : report.exits) {
    Json entry = describe(exit);
    entry["role"] = role_of(exit, report);
    ranks.push_back(std::move(entry));
  }
  const Json json = {{"run_id", report.run_id},       {"host", report.host},
                     {"world_size", report.ranks},    {"exit_code", report.exit_code},
                     {"culprit", std::move(culprit)}, {"ranks", std::move(ranks)}};
  const std::string path = failure_json_path(report.run_directory);
  std::ofstream file(path);
  // A program may print anything; bytes that are no UTF-8 are replaced.
  file << json.dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
  file.close();
  if (!file) throw IoError(concat("failure.json: cannot write ", path));
}

}  // namespace trireme
