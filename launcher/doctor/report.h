// The pages of `trireme doctor`: lines of a label and a finding, and a fix where something is
// missing.

#pragma once

#include <string>
#include <vector>

#include "core/metrics/nvml.h"

namespace trireme {

struct Finding {
  std::string label;
  std::string text;
  std::string fix;                  // "" if nothing is wrong
  bool is_needed_for_gpus = false;  // with a fix: ranks cannot compute on GPUs until then
};

struct Page {
  std::string title;
  std::vector<Finding> findings;
};

/// Version, commit, and what was compiled in.
Page build_page();
/// Processor, cores, memory, /dev/shm, limits, MPI.
Page host_page();
/// Driver and every GPU.
Page gpu_page(const GpuMonitor& monitor);
/// The libraries that are opened at run time, with their versions.
Page library_page();

/// The page as text, every line ended.
std::string page_text(const Page& page);
/// True if some finding keeps ranks from computing on GPUs.
bool lacks_gpus(const std::vector<Page>& pages);

}  // namespace trireme
