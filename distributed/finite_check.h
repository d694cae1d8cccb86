// Whose values are not finite: asked once averages are not, before the run ends because of it.

#pragma once

#include <functional>
#include <string>

#include "core/tensor/state_dict.h"
#include "distributed/communicator.h"

namespace trireme {

/// Name of the first parameter whose gradient holds an inf or nan; "" if none does.
std::string first_not_finite(const StateDict& parameters);

/// Whose own loss or gradients are not finite: "rank 1 on node-b (loss nan), rank 3 on node-d
/// (gradient of ln_f.weight)", the same text on every rank; "" if each rank's own values are
/// finite. Averages do not show whose gradients they were, so if no loss is to blame
/// `backward_again` is called: it computes this rank's gradients of `parameters` once more, without
/// averaging. Collective, blocking.
std::string ranks_not_finite(double loss, const StateDict& parameters,
                             const std::function<void()>& backward_again,
                             Communicator& communicator);

}  // namespace trireme
