#include "distributed/finite_check.h"

#include <cmath>

#include "core/base/error.h"
#include "core/optim/clip.h"
#include "distributed/control_channel.h"
#include "distributed/host_name.h"

namespace trireme {

std::string describe_not_finite(const OwnValues& mine, Communicator& communicator) {
  std::string what;
  if (!std::isfinite(mine.loss)) {
    what = concat("loss ", std::abs(mine.loss));  // "nan" whatever its sign
  } else if (!mine.bad_gradient.empty()) {
    what = concat("gradient of ", mine.bad_gradient);
  }
  if (!what.empty()) {
    what = concat("rank ", communicator.rank(), " on ", host_name(), " (", what, ")");
  }
  std::string all;
  for (const std::string& text : gather_texts(what, communicator)) {
    if (!text.empty()) all += concat(all.empty() ? "" : ", ", text);
  }
  return all;
}

std::string first_not_finite(const StateDict& parameters) {
  for (const auto& [name, p] : parameters) {
    if (p.grad().defined() && !std::isfinite(grad_norm({{name, p}}))) return name;
  }
  return "";
}

}  // namespace trireme
