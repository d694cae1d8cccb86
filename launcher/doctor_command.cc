#include "launcher/doctor_command.h"

#include <iostream>

#include "core/base/device.h"
#include "core/base/exit_code.h"
#include "core/base/settings.h"
#include "launcher/args.h"
#include "launcher/doctor/report.h"

namespace trireme {

int doctor_command(std::span<const std::string> words) {
  std::string device = get_setting("TRIREME_DEVICE");
  ArgParser parser(
      "trireme doctor", "[flags]",
      "Shows what this machine has for Trireme: build, processor, memory, MPI, driver,\n"
      "GPUs and libraries, and behind -> what to do about what is missing.\n"
      "With --device cuda it leaves with 72 if ranks could not compute on GPUs here.");
  parser.add("--device", &device, "where ranks are to compute: cpu, cuda or cuda:N");
  if (parser.parse(words).wants_help) {
    std::cout << parser.help();
    return kExitOk;
  }
  const bool needs_gpus = !parse_device(device).is_cpu();
  const GpuMonitor monitor;
  const std::vector<Page> pages = {build_page(), host_page(), gpu_page(monitor), library_page()};
  for (const Page& page : pages) {
    if (!page.findings.empty()) std::cout << page_text(page);
  }
  if (!needs_gpus || !lacks_gpus(pages)) return kExitOk;
  std::cout << "Ranks cannot compute on GPUs here: see the lines with ->\n";
  return kExitDevice;
}

}  // namespace trireme
