#include "core/data/token_windows.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/tensor/create.h"

namespace trireme {

TokenWindows::TokenWindows(TokenSource source, int64_t context)
    : source_(std::move(source)), context_(context) {
  require(context >= 1, "token_windows", "context must be at least 1, got ", context);
  if (source_.size() <= context) {
    throw DataError(concat("token_windows: context ", context, " needs at least ", context + 1,
                           " tokens, got ", source_.size(), " in ", source_.name(),
                           "; use a shorter context or more data"));
  }
}

Batch TokenWindows::collate(std::span<const int64_t> indices) const {
  if (indices.empty()) return {};
  const auto batch = static_cast<int64_t>(indices.size());
  Batch out{empty({batch, context_}, {DType::kI64}), empty({batch, context_}, {DType::kI64}), batch,
            batch * context_};
  std::vector<int64_t> window(static_cast<size_t>(context_ + 1));
  int64_t* inputs = out.inputs.data<int64_t>();
  int64_t* targets = out.targets.data<int64_t>();
  for (const int64_t start : indices) {
    source_.read(start, window);
    inputs = std::copy(window.begin(), window.end() - 1, inputs);
    targets = std::copy(window.begin() + 1, window.end(), targets);
  }
  return out;
}

}  // namespace trireme
