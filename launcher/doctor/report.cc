#include "launcher/doctor/report.h"

#include <algorithm>

#include "core/base/config.h"
#include "core/base/error.h"
#include "core/base/git_commit.h"

namespace trireme {

Page build_page() {
  const auto feature = [](const char* label, bool has, const char* version, const char* without) {
    return Finding{label, has ? concat("on, ", version) : concat("off, ", without), "", false};
  };
  Page page{"Build", {}};
  page.findings.push_back({"version", concat(kVersion, " ", kGitCommit), "", false});
  page.findings.push_back(feature("CUDA", kHasCuda, kCudaVersion, "ranks compute on the CPU"));
  page.findings.push_back(feature("NCCL", kHasNccl, kNcclVersion, "no collectives between GPUs"));
  page.findings.push_back(feature("MPI", kHasMpi, kMpiVersion, "no collectives between nodes"));
  if (!kHasCuda) {
    page.findings[1].fix = "configure with -DTRIREME_CUDA=ON on a machine with the CUDA Toolkit";
    page.findings[1].is_needed_for_gpus = true;
  }
  return page;
}

std::string page_text(const Page& page) {
  constexpr size_t kLabelWidth = 14;
  std::string text = page.title + "\n";
  for (const Finding& finding : page.findings) {
    std::string label = finding.label;
    label.resize(std::max(kLabelWidth, label.size() + 1), ' ');
    text += concat("  ", label, finding.text, "\n");
    if (!finding.fix.empty()) {
      text += concat("  ", std::string(kLabelWidth, ' '), "-> ", finding.fix, "\n");
    }
  }
  return text;
}

bool lacks_gpus(const std::vector<Page>& pages) {
  return std::any_of(pages.begin(), pages.end(), [](const Page& page) {
    return std::any_of(page.findings.begin(), page.findings.end(),
                       [](const Finding& f) { return f.is_needed_for_gpus && !f.fix.empty(); });
  });
}

}  // namespace trireme
