// trireme: the launcher. `trireme --help` lists its commands.

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include "core/base/config.h"
#include "core/base/error.h"
#include "distributed/exit_code_of.h"
#include "launcher/agent/process.h"
#include "launcher/doctor_command.h"
#include "launcher/exporter_command.h"
#include "launcher/run_command.h"
#include "launcher/suggest.h"

namespace trireme {
namespace {

constexpr char kUsage[] =
    "Usage: trireme run|doctor|exporter [flags]\n"
    "\n"
    "  run       start a program on several ranks of this node: trireme run -n 2 -- program ...\n"
    "  doctor    show what this machine has for Trireme, and what to do about what is missing\n"
    "  exporter  serve the metrics of a run that was not started by `trireme run`\n"
    "\n"
    "`trireme COMMAND --help` lists the flags.\n"
    "`trireme --version` prints the version.\n";

/// Files that are opened later must not take the place of a closed stdin, stdout or stderr.
void open_standard_streams() {
  for (int fd = 0; fd <= 2; ++fd) {
    if (::fcntl(fd, F_GETFD) < 0 && ::open("/dev/null", O_RDWR) < 0) _exit(kExitOs);
  }
}

int dispatch(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.empty()) {
    std::cerr << kUsage;
    return kExitUsage;
  }
  const std::string& command = words[0];
  if (command == "run") return run_command(std::span(words).subspan(1));
  if (command == "doctor") return doctor_command(std::span(words).subspan(1));
  if (command == "exporter") return exporter_command(argc - 1, argv + 1);
  if (command == "--help" || command == "-h" || command == "help") {
    std::cout << kUsage;
    return kExitOk;
  }
  if (command == "--version") {
    std::cout << "trireme " << kVersion << "\n";
    return kExitOk;
  }
  const std::vector<std::string> known = {"run", "doctor", "exporter", "--help", "--version"};
  fail("trireme", "no such command ", command, did_you_mean(command, known),
       " (see `trireme --help`)");
}

}  // namespace
}  // namespace trireme

int main(int argc, char** argv) {
  using namespace trireme;
  open_standard_streams();
  try {
    return dispatch(argc, argv);
  } catch (const StartError& error) {
    std::fprintf(stderr, "trireme run: %s\n", error.what());
    return error.exit_code();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return exit_code_of(error);
  }
}
