#include "kernels/epilogue_choice.h"

namespace trireme::kernels {

void EpilogueChoice::run(const EpilogueKey& key, CUstream_st* stream,
                         const std::function<void()>& fused, const std::function<void()>& passes) {
  constexpr int kRepeats = 5;
  if (!tune_) return fused();
  auto known = is_fused_.find(key);
  if (known == is_fused_.end()) {
    if (!device_.can_time(stream)) return passes();
    const double with = device_.milliseconds(stream, kRepeats, fused);
    const double without = device_.milliseconds(stream, kRepeats, passes);
    known = is_fused_.emplace(key, with < without).first;
  }
  return known->second ? fused() : passes();
}

}  // namespace trireme::kernels
