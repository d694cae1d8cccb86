// Training sequences for language models: every window of `context` tokens of a source.

#pragma once

#include "core/data/dataset.h"
#include "core/data/token_source.h"

namespace trireme {

/// Sample i is the window that starts at token i: inputs are tokens [i, i + context), targets the
/// same shifted by one, [i + 1, i + context + 1). Batches: inputs and targets i64 [batch, context].
class TokenWindows final : public Dataset {
 public:
  /// Throws DataError when the source is not longer than the context.
  TokenWindows(TokenSource source, int64_t context);

  /// Number of windows, overlapping ones included: tokens - context.
  int64_t size() const override { return source_.size() - context_; }
  /// Number of windows that share no target.
  int64_t pass_size() const override { return (source_.size() - 1) / context_; }
  Batch allocate(int64_t count) const override;
  void fill(const Batch& batch, int64_t place, int64_t index, int64_t step) const override;
  int64_t grain() const override;

 private:
  TokenSource source_;
  int64_t context_;
};

}  // namespace trireme
