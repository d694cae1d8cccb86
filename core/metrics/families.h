// The catalogue of metrics: what is exported under which name (docs/metrics.md lists it).

#pragma once

#include <vector>

#include "core/metrics/stats_page.h"

namespace prometheus {
struct MetricFamily;
}

namespace trireme {

/// Every metric of every rank. Labels on all: rank, and job_id, the run id.
std::vector<prometheus::MetricFamily> make_families(const std::vector<RankSnapshot>& ranks);

}  // namespace trireme
