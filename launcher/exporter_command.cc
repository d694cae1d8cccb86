#include "launcher/exporter_command.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/exit_code.h"
#include "core/base/settings.h"
#include "core/metrics/exporter.h"
#include "core/metrics/stats_page.h"
#include "launcher/args.h"

namespace trireme {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kLookInterval{250};
constexpr std::chrono::seconds kOrphanLimit{10};

/// Turns SIGTERM and SIGINT into something poll() can wait for. Threads started later inherit the
/// mask, so the signal is not lost on one of theirs.
int make_stop_fd() {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGTERM);
  ::sigaddset(&signals, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  const int fd = ::signalfd(-1, &signals, SFD_CLOEXEC);
  if (fd < 0) throw IoError("exporter: cannot make a signal descriptor");
  return fd;
}

bool has_ended(const pollfd& input) {
  char ignored[256];
  return input.revents != 0 && ::read(input.fd, ignored, sizeof ignored) <= 0;
}

bool some_rank_lives(const std::string& run_id) {
  const std::vector<RankSnapshot> ranks = read_stats_pages(run_id);
  return std::any_of(ranks.begin(), ranks.end(), [](const auto& rank) { return rank.is_alive; });
}

/// Returns when serving is over. has_seen_rank: some rank was alive already.
void serve(const std::string& run_id, bool has_seen_rank, int stop_fd, bool watch_input) {
  Clock::time_point deadline = Clock::time_point::max();
  // poll() skips entries with a negative descriptor.
  pollfd sources[] = {{stop_fd, POLLIN, 0}, {watch_input ? STDIN_FILENO : -1, POLLIN, 0}};
  while (Clock::now() < deadline) {
    ::poll(sources, 2, static_cast<int>(kLookInterval.count()));
    if (sources[0].revents != 0) return;
    if (sources[1].fd >= 0 && has_ended(sources[1])) {
      sources[1].fd = -1;
      deadline = Clock::now() + kOrphanLimit;
      has_seen_rank = true;  // who started us is gone: no rank to wait for
    }
    const bool some_live = some_rank_lives(run_id);
    if (!some_live && has_seen_rank) return;
    has_seen_rank |= some_live;
  }
}

/// Whoever reads our first line may wait for the end of our output, as mpirun does.
void release_output() {
  const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (nowhere < 0) return;
  ::dup2(nowhere, STDOUT_FILENO);
  ::dup2(nowhere, STDERR_FILENO);
  ::close(nowhere);
}

}  // namespace

int exporter_command(int argc, char** argv) {
  MetricsExporter::Options options;
  options.run_id = get_setting("TRIREME_RUN_ID");
  options.address = get_setting("TRIREME_METRICS_ADDRESS");
  options.port = static_cast<int>(get_setting_int("TRIREME_METRICS_PORT"));
  bool watch_input = false;
  ArgParser parser(
      "trireme exporter", "--run-id ID [flags]",
      "Serves the metrics of all ranks of a run on this node for Prometheus.\n"
      "`trireme run` does so itself; programs started with mpirun start this command.");
  parser.add("--run-id", &options.run_id, "the run, as its ranks know it")
      .value_name("ID")
      .default_text(options.run_id.empty() ? "TRIREME_RUN_ID" : options.run_id);
  parser.add("--port", &options.port, "port to listen on; 0: any free one")
      .at_least(0)
      .at_most(65535);
  parser.add("--address", &options.address, "interface to listen on; 127.0.0.1: this host only");
  parser.add("--stop-at-end-of-input", &watch_input,
             "end when standard input closes, write one line, then release the output");
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (parser.parse(words).wants_help) {
    std::cout << parser.help();
    return kExitOk;
  }
  require(!options.run_id.empty(), "trireme exporter",
          "--run-id must be given, got none and TRIREME_RUN_ID is not set");

  const int stop_fd = make_stop_fd();
  {
    const MetricsExporter exporter(options);
    const bool has_seen_rank = some_rank_lives(options.run_id);
    std::cout << "metrics at " << exporter.url() << std::endl;
    if (watch_input) release_output();
    serve(options.run_id, has_seen_rank, stop_fd, watch_input);
  }
  ::close(stop_fd);
  remove_dead_stats_pages(options.run_id);
  return kExitOk;
}

}  // namespace trireme
