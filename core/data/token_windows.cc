#include "core/data/token_windows.h"

#include <algorithm>
#include <utility>

#include "core/base/error.h"
#include "core/tensor/create.h"

namespace trireme {
namespace {

// Tokens that are copied in some ten microseconds.
constexpr int64_t kTokensPerTask = 1 << 15;

}  // namespace

TokenWindows::TokenWindows(TokenSource source, int64_t context)
    : source_(std::move(source)), context_(context) {
  require(context >= 1, "token_windows", "context must be at least 1, got ", context);
  if (source_.size() <= context) {
    throw DataError(concat("token_windows: context ", context, " needs at least ", context + 1,
                           " tokens, got ", source_.size(), " in ", source_.name(),
                           "; use a shorter context or more data"));
  }
}

int64_t TokenWindows::grain() const { return std::max<int64_t>(kTokensPerTask / context_, 1); }

Batch TokenWindows::allocate(int64_t count) const {
  return {empty({count, context_}, {DType::kI64}), empty({count, context_}, {DType::kI64}), count,
          count * context_};
}

void TokenWindows::fill(const Batch& batch, int64_t place, int64_t index, int64_t /*step*/) const {
  const auto context = static_cast<size_t>(context_);
  const std::span inputs(batch.inputs.data<int64_t>() + place * context_, context);
  const std::span targets(batch.targets.data<int64_t>() + place * context_, context);
  source_.read(index, inputs);
  std::copy(inputs.begin() + 1, inputs.end(), targets.begin());
  source_.read(index + context_, targets.last(1));
}

}  // namespace trireme
