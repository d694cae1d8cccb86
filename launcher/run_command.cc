#include "launcher/run_command.h"

#include <poll.h>
#include <unistd.h>

#include <filesystem>
#include <iostream>
#include <memory>

#include "core/base/error.h"
#include "core/base/exit_code.h"
#include "core/base/settings.h"
#include "core/metrics/exporter.h"
#include "distributed/host_name.h"
#include "distributed/run_id.h"
#include "launcher/agent/cores.h"
#include "launcher/agent/descendants.h"
#include "launcher/agent/gang.h"
#include "launcher/agent/rank_environment.h"
#include "launcher/agent/run_claim.h"
#include "launcher/agent/run_directory.h"
#include "launcher/agent/summary.h"
#include "launcher/agent/system_error.h"
#include "launcher/arg_values.h"
#include "launcher/run_flags.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

/// Everything about a run that is decided before its first process starts.
struct Plan {
  RunIdentity run;
  CoreShare share;
  std::vector<RankStart> ranks;
};

Plan make_plan(const RunOptions& options) {
  Plan plan;
  plan.run.run_id = options.run_id.empty() ? make_run_id() : options.run_id;
  check_run_id(plan.run.run_id);
  plan.run.directory = (fs::absolute(options.log_dir) / plan.run.run_id).lexically_normal();
  plan.run.device = options.device;
  plan.run.ranks = options.ranks;
  plan.run.master_port = find_free_port();
  plan.run.serves_metrics = options.metrics_port != "off";
  plan.share = share_cores(allowed_cores(), cpu_quota(), options.ranks);
  const std::string path = find_program(options.command.front());
  for (int rank = 0; rank < options.ranks; ++rank) {
    RankStart start;
    start.command.path = path;
    start.command.words = options.command;
    start.command.environment =
        merge_environment(rank_variables(plan.run, rank, plan.share.threads));
    if (options.bind == "cores") start.command.cores = plan.share.cores[rank];
    start.stdout_log = log_path(plan.run.directory, rank, "stdout");
    start.stderr_log = log_path(plan.run.directory, rank, "stderr");
    start.is_shown = rank == 0;
    plan.ranks.push_back(std::move(start));
  }
  return plan;
}

void print_plan(const Plan& plan) {
  std::cout << "run " << plan.run.run_id << " in " << plan.run.directory << "\n";
  std::cout << "command " << plan.ranks.front().command.path;
  for (size_t i = 1; i < plan.ranks.front().command.words.size(); ++i) {
    std::cout << " '" << plan.ranks.front().command.words[i] << "'";
  }
  std::cout << "\n";
  for (int rank = 0; rank < plan.run.ranks; ++rank) {
    const RankStart& start = plan.ranks[rank];
    const std::string cores = format_cores(start.command.cores);
    std::cout << "\nrank " << rank << "\n  cores " << (cores.empty() ? "not bound" : cores)
              << "\n  stdout " << start.stdout_log << "\n  stderr " << start.stderr_log << "\n";
    for (const auto& [name, value] : rank_variables(plan.run, rank, plan.share.threads)) {
      std::cout << "  " << name << "=" << value << "\n";
    }
  }
}

/// Null, with a warning, if metrics cannot be served: that never stops training.
std::unique_ptr<MetricsExporter> serve_metrics(const RunOptions& options, const std::string& run_id,
                                               Console& err) {
  if (options.metrics_port == "off") return nullptr;
  try {
    return std::make_unique<MetricsExporter>(
        MetricsExporter::Options{.run_id = run_id,
                                 .address = get_setting("TRIREME_METRICS_ADDRESS"),
                                 .port = parse_int(options.metrics_port)});
  } catch (const Error& error) {
    err.append(concat("trireme run: warning: no metrics: ", error.what(),
                      "; choose another with --metrics-port\n"));
    return nullptr;
  }
}

std::string describe_start(const Plan& plan, const MetricsExporter* exporter) {
  const bool is_bound = !plan.ranks.front().command.cores.empty();
  return concat("trireme run: ", plan.run.ranks, plan.run.ranks == 1 ? " rank, " : " ranks, ",
                plan.share.threads, plan.share.threads == 1 ? " thread" : " threads", " each",
                is_bound ? ", bound to cores" : "", ", run ", plan.run.run_id, ", logs ",
                plan.run.directory, "/logs", exporter ? ", metrics " + exporter->url() : "", "\n");
}

/// Writes what waits. A console that takes nothing for some time, or a stop signal, drops the rest.
void drain(Console& out, Console& err, SignalInbox& signals) {
  constexpr int kPatienceMs = 3000;
  while (out.has_text() || err.has_text()) {
    pollfd polled[] = {{signals.fd(), POLLIN, 0},
                       {out.has_text() ? out.fd() : -1, POLLOUT, 0},
                       {err.has_text() ? err.fd() : -1, POLLOUT, 0}};
    if (::poll(polled, std::size(polled), kPatienceMs) == 0) return;
    const int signal = polled[0].revents ? signals.next() : 0;
    if (signal != 0 && signal != SIGCHLD) return;
    if (polled[1].revents) out.write_some();
    if (polled[2].revents) err.write_some();
  }
}

void report_failure(const Plan& plan, const Gang& gang, const Verdict& verdict, Console& err) {
  const FailureReport report = {plan.run.run_id,   plan.run.directory, host_name(),
                                plan.run.ranks,    *verdict.culprit,   gang.exits(),
                                verdict.exit_code, gang.logs_begin()};
  err.append(summarise(report));
  try {
    write_failure_json(report);
  } catch (const IoError& error) {
    err.append(concat("trireme run: warning: ", error.what(), "\n"));
  }
}

/// How a gang without a culprit ended, if that needs a word; "" if not.
std::string describe_ending(const Request& request, int exit_code, const Plan& plan,
                            const RunOptions& options) {
  if (request.timed_out) {
    return concat("time limit of ", options.timeout.count() / 1000.0, " s reached, ranks ended");
  }
  if (exit_code == kExitStopped) {
    return concat("stopped on request; to continue, run again with --run-id ", plan.run.run_id,
                  options.log_dir == RunOptions().log_dir ? "" : " --log-dir " + options.log_dir);
  }
  if (request.stop_signal && exit_code != 0) {
    return concat("stopped by ", signal_name(*request.stop_signal));
  }
  return "";
}

int run_gang(const RunOptions& options, const Plan& plan) {
  SignalInbox signals;
  become_subreaper();
  const RunClaim claim(plan.run.run_id);
  sweep_shared_memory(plan.run.run_id);  // of a launcher of the same id that was killed
  make_run_directory(plan.run.directory, plan.run.ranks);
  std::error_code ignored;
  fs::remove(failure_json_path(plan.run.directory), ignored);  // it would speak of an earlier run

  Console out(STDOUT_FILENO);
  Console err(STDERR_FILENO);
  std::unique_ptr<MetricsExporter> exporter;
  Gang gang(signals, out, err, {.grace = options.grace, .timeout = options.timeout});
  gang.run(plan.ranks, [&] {
    // Its threads must not exist while ranks are forked.
    exporter = serve_metrics(options, plan.run.run_id, err);
    err.append(describe_start(plan, exporter.get()));
  });
  exporter.reset();
  sweep_shared_memory(plan.run.run_id);

  const Verdict verdict = judge(gang.exits(), gang.request());
  for (const pid_t pid : gang.unkillable()) {
    err.append(concat("trireme run: process ", pid, " survives SIGKILL, it hangs in the kernel\n"));
  }
  if (verdict.culprit) report_failure(plan, gang, verdict, err);
  const std::string ending = describe_ending(gang.request(), verdict.exit_code, plan, options);
  if (!verdict.culprit && !ending.empty()) err.append(concat("trireme run: ", ending, "\n"));
  drain(out, err, signals);
  if (verdict.exit_code == 0 && !gang.unkillable().empty()) return kExitOs;
  return verdict.exit_code;
}

}  // namespace

int run_command(std::span<const std::string> words) {
  RunOptions options;
  if (parse_run_flags(words, options) == RunFlags::kHelpShown) return kExitOk;
  const Plan plan = make_plan(options);
  if (options.is_dry_run) {
    print_plan(plan);
    return kExitOk;
  }
  return run_gang(options, plan);
}

}  // namespace trireme
