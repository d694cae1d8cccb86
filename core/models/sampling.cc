#include "core/models/sampling.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "core/base/error.h"

namespace trireme {

int64_t draw_token(std::vector<double> logits, const Sampling& sampling, Generator& generator) {
  require(std::all_of(logits.begin(), logits.end(), [](double l) { return std::isfinite(l); }),
          "generate", "the model gave logits that are not finite");
  const auto best = std::max_element(logits.begin(), logits.end());
  if (sampling.temperature <= 0) return best - logits.begin();
  const double top = *best;
  double floor = -std::numeric_limits<double>::infinity();
  if (sampling.top_k > 0 && sampling.top_k < static_cast<int64_t>(logits.size())) {
    std::vector<double> sorted = logits;
    std::nth_element(sorted.begin(), sorted.begin() + (sampling.top_k - 1), sorted.end(),
                     std::greater<>());
    floor = sorted[static_cast<size_t>(sampling.top_k - 1)];
  }
  double sum = 0;
  for (double& l : logits) {
    l = l < floor ? 0 : std::exp((l - top) / sampling.temperature);
    sum += l;
  }
  double left = generator.next_uniform() * sum;
  for (size_t i = 0; i < logits.size(); ++i) {
    left -= logits[i];
    if (left < 0) return static_cast<int64_t>(i);
  }
  return best - logits.begin();
}

void check_generation(const std::vector<int64_t>& prompt, int64_t count, const Sampling& sampling) {
  require(!prompt.empty(), "generate", "the prompt must have at least one token");
  require(count >= 0 && sampling.temperature >= 0 && sampling.top_k >= 0, "generate",
          "count, temperature and top_k must not be negative, got ", count, ", ",
          sampling.temperature, " and ", sampling.top_k);
}

}  // namespace trireme
