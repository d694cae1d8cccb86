#include "core/metrics/stats_page.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>

#include "core/base/error.h"
#include "core/base/shm_name.h"
#include "core/metrics/shm_page_file.h"
#include "core/metrics/stats_page_layout.h"

namespace trireme {
namespace {

/// Names of the run's pages, "/..." as shm_open takes them.
std::vector<std::string> page_names(std::string_view run_id) {
  std::vector<std::string> names;
  const std::string prefix = shm_name_prefix(run_id) + "metrics-";
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir("/dev/shm"), ::closedir);
  if (!directory) return names;
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string_view name = entry->d_name;
    if (name.starts_with(prefix)) names.push_back(concat("/", name));
  }
  return names;
}

StepStats copy_stats(const StatsPageLayout& page) {
  uint64_t words[StatsPageLayout::kWords];
  uint64_t before = 0, after = page.published.load(std::memory_order_acquire);
  // The copy being read is rewritten only after a newer one was announced, so an unchanged number
  // proves it whole. A step takes far longer than this copy: a second round is rare.
  do {
    before = after;
    for (size_t i = 0; i < StatsPageLayout::kWords; ++i) {
      words[i] = page.copies[before % 2][i].load(std::memory_order_acquire);
    }
    after = page.published.load(std::memory_order_acquire);
  } while (after != before);
  StepStats stats;
  std::memcpy(&stats, words, sizeof stats);
  return stats;
}

std::string text_of(const char (&from)[64]) { return {from, ::strnlen(from, sizeof from)}; }

std::optional<RankSnapshot> read_page(int fd) {
  struct stat file {};
  if (::fstat(fd, &file) != 0 || file.st_size != sizeof(StatsPageLayout)) return {};
  void* memory = ::mmap(nullptr, sizeof(StatsPageLayout), PROT_READ, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) return {};
  const auto& page = *static_cast<const StatsPageLayout*>(memory);
  std::optional<RankSnapshot> snapshot;
  if (page.magic.load(std::memory_order_acquire) == kStatsPageMagic &&
      page.version == kStatsPageVersion) {
    snapshot.emplace();
    snapshot->info = {text_of(page.run_id),
                      page.rank,
                      page.world_size,
                      page.local_rank,
                      text_of(page.host),
                      page.pid,
                      text_of(page.build_version),
                      text_of(page.git_commit)};
    snapshot->stats = copy_stats(page);
    snapshot->is_alive = is_page_locked(fd);
  }
  ::munmap(memory, sizeof(StatsPageLayout));
  return snapshot;
}

}  // namespace

std::vector<RankSnapshot> read_stats_pages(std::string_view run_id) {
  std::vector<RankSnapshot> snapshots;
  for (const std::string& name : page_names(run_id)) {
    const int fd = ::shm_open(name.c_str(), O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) continue;  // removed since it was listed, or another user's
    if (auto snapshot = read_page(fd)) snapshots.push_back(std::move(*snapshot));
    ::close(fd);
  }
  std::sort(snapshots.begin(), snapshots.end(),
            [](const RankSnapshot& a, const RankSnapshot& b) { return a.info.rank < b.info.rank; });
  return snapshots;
}

int remove_dead_stats_pages(std::string_view run_id) {
  int removed = 0;
  for (const std::string& name : page_names(run_id)) {
    const int fd = ::shm_open(name.c_str(), O_RDWR | O_CLOEXEC, 0);
    if (fd < 0) continue;
    // The lock is kept while removing, so that no successor starts on this page meanwhile.
    if (lock_page(fd) && is_page_named(fd, name) && ::shm_unlink(name.c_str()) == 0) ++removed;
    ::close(fd);
  }
  return removed;
}

}  // namespace trireme
