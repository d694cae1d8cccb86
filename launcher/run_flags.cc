#include "launcher/run_flags.h"

#include <algorithm>
#include <iostream>

#include "core/base/device.h"
#include "core/base/error.h"
#include "core/base/settings.h"
#include "launcher/arg_values.h"
#include "launcher/args.h"

namespace trireme {
namespace {

constexpr char kAbout[] =
    "Starts N ranks of a program on this node, watches them, and explains what went wrong.\n"
    "\n"
    "Every rank finds its place in RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR ... (torchrun's\n"
    "names) and in TRIREME_*. Cores are divided among ranks. Each rank's output is kept in\n"
    "DIR/ID/logs/rank-0000/{stdout,stderr}.log, rank 0's is shown here too; DIR/latest leads to\n"
    "the newest run.\n"
    "\n"
    "If one rank fails, the others are ended within 5 seconds, and a summary names the one to\n"
    "blame. Ctrl-C, SIGTERM, SIGHUP and SIGUSR1 are passed on to the ranks; a training program\n"
    "then writes a checkpoint and leaves. A second Ctrl-C kills at once.\n"
    "\n"
    "Example: trireme run -n 2 -- trireme-train gpt --data input.txt --steps 500";

constexpr char kExitCodes[] =
    "Exit codes (docs/exit_codes.md): 0 all ranks left with 0; 75 stopped on request, continues\n"
    "with the same --run-id; 124 --timeout; 64 wrong flag; 126/127 program not executable/not\n"
    "found; 128+n ended by signal n; otherwise the code of the rank that failed first.";

std::string footer() {
  constexpr size_t kNameColumns = 26;
  std::string text = kExitCodes;
  text += "\n\nEnvironment variables of Trireme (default):\n";
  for (const Setting& setting : all_settings()) {
    std::string name = setting.name;
    name.resize(std::max(name.size(), kNameColumns), ' ');
    text += concat("  ", name, "  ", setting.meaning);
    if (*setting.allowed.texts) text += concat("; one of ", setting.allowed.texts);
    if (*setting.default_value) text += concat(" (", setting.default_value, ")");
    text += "\n";
  }
  text.pop_back();
  return text;
}

void check_port(const std::string& text, const char* name) {
  if (text == "off") return;
  constexpr int kLastPort = 65535;
  int port = -1;
  try {
    port = parse_int(text);
  } catch (const InvalidArgument&) {
    // Said below, with the name of what was given.
  }
  require(port >= 0 && port <= kLastPort, "trireme run", name, " must be from 0 to ", kLastPort,
          " or off, got '", text, "'");
}

}  // namespace

RunFlags parse_run_flags(std::span<const std::string> words, RunOptions& options) {
  options.device = get_setting("TRIREME_DEVICE");
  options.metrics_port =
      get_setting("TRIREME_METRICS") == "off" ? "off" : get_setting("TRIREME_METRICS_PORT");
  ArgParser parser("trireme run", "-n N [flags] -- program args...", kAbout);
  parser.accept_command();
  parser.footer(footer());

  parser.section("Ranks");
  parser.add("--ranks", &options.ranks, "how many to start on this node").alias("-n").at_least(1);
  parser.add(
      "--device", &options.device,
      "where ranks compute: cpu, or cuda, the GPU of each rank's number on its node; they see "
      "it as TRIREME_DEVICE");
  parser.add("--bind", &options.bind, "bind each rank to its share of the cores, or to none")
      .one_of({"cores", "none"});

  parser.section("Run directory");
  parser.add("--log-dir", &options.log_dir, "folder of run directories").value_name("DIR");
  parser.add("--run-id", &options.run_id, "name of the run; an old one is continued")
      .value_name("ID")
      .default_text("date, time and a random part");

  parser.section("Ending");
  parser.add("--timeout", &options.timeout, "end the run after this time, 0 for never");
  parser.add("--grace", &options.grace, "from a stop signal to SIGKILL");

  parser.section("Metrics");
  parser
      .add("--metrics-port", &options.metrics_port,
           "serve Prometheus metrics of all ranks here; 0: any free port, off: none. If the port "
           "is in use there is a warning, and the run goes on without")
      .value_name("PORT");

  parser.section("Other");
  parser.add("--dry-run", &options.is_dry_run, "show what each rank would get, and start nothing");

  const Parsed parsed = parser.parse(words);
  if (parsed.wants_help) {
    std::cout << parser.help();
    return RunFlags::kHelpShown;
  }
  require(!parsed.rest.empty(), "trireme run",
          "a program to run must follow, as in `trireme run -n 2 -- program args...`, got none");
  parse_device(options.device);  // a wrong word is one message here, not one of each rank
  require(!options.log_dir.empty(), "trireme run", "--log-dir must name a folder, got ''");
  check_port(options.metrics_port,
             parser.was_given("--metrics-port") ? "--metrics-port" : "TRIREME_METRICS_PORT");
  options.command = parsed.rest;
  return RunFlags::kReady;
}

}  // namespace trireme
