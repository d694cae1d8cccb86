#include "distributed/finite_check.h"

#include <cmath>

#include "core/base/error.h"
#include "core/optim/clip.h"
#include "distributed/control_channel.h"
#include "distributed/host_name.h"

namespace trireme {
namespace {

// `mine` is "" on a rank with nothing to say.
std::string gather_complaints(const std::string& mine, Communicator& communicator) {
  const std::string signed_by_me =
      mine.empty() ? ""
                   : concat("rank ", communicator.rank(), " on ", host_name(), " (", mine, ")");
  std::string all;
  for (const std::string& text : gather_texts(signed_by_me, communicator)) {
    if (!text.empty()) all += concat(all.empty() ? "" : ", ", text);
  }
  return all;
}

}  // namespace

std::string first_not_finite(const StateDict& parameters) {
  for (const auto& [name, p] : parameters) {
    if (p.grad().defined() && !std::isfinite(grad_norm({{name, p}}))) return name;
  }
  return "";
}

std::string ranks_not_finite(double loss, const StateDict& parameters,
                             const std::function<void()>& backward_again,
                             Communicator& communicator) {
  // The absolute value prints "nan" whatever its sign.
  const std::string of_loss = std::isfinite(loss) ? "" : concat("loss ", std::abs(loss));
  const std::string ranks = gather_complaints(of_loss, communicator);
  if (!ranks.empty()) return ranks;
  for (const auto& [name, p] : parameters) Tensor(p).zero_grad();
  backward_again();
  const std::string name = first_not_finite(parameters);
  return gather_complaints(name.empty() ? "" : "gradient of " + name, communicator);
}

}  // namespace trireme
