// Bytes of a StatsPage, shared by writer and reader. Change kStatsPageVersion with the layout.

#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "core/metrics/step_stats.h"

namespace trireme {

inline constexpr uint64_t kStatsPageMagic = 0x5354'4154'5349'5254;  // "TRISTATS"
inline constexpr uint32_t kStatsPageVersion = 2;

static_assert(std::is_trivially_copyable_v<StepStats> && sizeof(StepStats) % 8 == 0);
static_assert(std::atomic<uint64_t>::is_always_lock_free);

struct StatsPageLayout {
  static constexpr size_t kWords = sizeof(StepStats) / 8;

  std::atomic<uint64_t> magic;  // written last: until then the rest means nothing
  uint32_t version;
  int32_t rank;
  int32_t world_size;
  int32_t local_rank;
  int64_t pid;
  char run_id[64];
  char host[64];
  char build_version[64];
  char git_commit[64];

  std::atomic<uint64_t> published;  // copies[published % 2] is complete
  std::atomic<uint64_t> copies[2][kWords];
};

}  // namespace trireme
