// Copies loaded tensors into a model or an optimizer that exists already.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/tensor/state_dict.h"

namespace trireme {

enum class Strictness {
  kExact,             // both sides must have the same names
  kIgnoreUnexpected,  // the source may hold more, as files of other tools do (stored masks)
};

/// Copies every tensor of `source` into the one of the same name in `target`, converting the dtype.
/// Parameters keep their identity, gradients and hooks. Throws DataError, before anything is
/// copied, that names all missing, unexpected and wrongly shaped tensors (the first few of each
/// kind), and `path`, where the source was read from, unless it is empty. Returns the names that
/// were ignored.
std::vector<std::string> load_state(const StateDict& target, const StateDict& source,
                                    Strictness strictness = Strictness::kExact,
                                    std::string_view path = {});

}  // namespace trireme
