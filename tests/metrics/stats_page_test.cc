#include "core/metrics/stats_page.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <functional>
#include <thread>

#include "core/base/shm_name.h"
#include "core/metrics/stats_page_layout.h"
#include "core/tensor/allocator.h"
#include "tests/metrics/test_run.h"
#include "tests/support/message_of.h"

namespace trireme {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::message_of;
using ::testing::StartsWith;

/// Every number of the stats set to one made from k, so that a mixture of two k shows.
void fill(StepStats& stats, int64_t k) {
  stats.steps = k;
  stats.samples = 2 * k;
  stats.loss = static_cast<double>(k);
  stats.phase_seconds.fill(static_cast<double>(k));
  stats.memory_allocated_bytes.fill(k);
  stats.last_checkpoint_unix_seconds = static_cast<double>(k);
}

bool is_whole(const StepStats& stats) {
  StepStats expected = stats;
  fill(expected, stats.steps);
  return expected.samples == stats.samples && expected.loss.value == stats.loss.value &&
         expected.phase_seconds == stats.phase_seconds &&
         expected.memory_allocated_bytes == stats.memory_allocated_bytes &&
         expected.last_checkpoint_unix_seconds == stats.last_checkpoint_unix_seconds;
}

/// Lets a test damage a page as no StatsPage would.
void edit_page(const std::string& name, const std::function<void(StatsPageLayout&)>& edit) {
  const int fd = ::shm_open(name.c_str(), O_RDWR, 0);
  ASSERT_GE(fd, 0);
  void* memory =
      ::mmap(nullptr, sizeof(StatsPageLayout), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ::close(fd);
  ASSERT_NE(memory, MAP_FAILED);
  edit(*static_cast<StatsPageLayout*>(memory));
  ::munmap(memory, sizeof(StatsPageLayout));
}

TEST(StatsPage, ShowsWhatWasPublished) {
  const TestRun run("published");
  StatsPage page(run.rank(3, 4));
  fill(page.stats(), 7);
  page.publish();
  fill(page.stats(), 8);  // not published: invisible

  const auto ranks = read_stats_pages(run.id());
  ASSERT_EQ(ranks.size(), 1u);
  EXPECT_EQ(ranks[0].info.run_id, run.id());
  EXPECT_EQ(ranks[0].info.rank, 3);
  EXPECT_EQ(ranks[0].info.world_size, 4);
  EXPECT_EQ(ranks[0].info.local_rank, 3);
  EXPECT_EQ(ranks[0].info.pid, ::getpid());
  EXPECT_FALSE(ranks[0].info.host.empty());
  EXPECT_FALSE(ranks[0].info.version.empty());
  EXPECT_TRUE(ranks[0].is_alive);
  EXPECT_EQ(ranks[0].stats.steps, 7);
  EXPECT_EQ(ranks[0].stats.world_size, 4);
  EXPECT_TRUE(ranks[0].stats.loss.is_known);
  EXPECT_FALSE(ranks[0].stats.gradient_norm.is_known);
  EXPECT_GT(ranks[0].stats.resident_bytes, 100'000);
  EXPECT_TRUE(is_whole(ranks[0].stats));
}

TEST(StatsPage, IsNamedAfterRunAndRankAndGoesWithItsOwner) {
  const TestRun run("named");
  EXPECT_EQ(stats_page_name(run.id(), 2), "/" + shm_name_prefix(run.id()) + "metrics-2");
  {
    const StatsPage page(run.rank(2));
    EXPECT_EQ(page.name(), stats_page_name(run.id(), 2));
    EXPECT_EQ(read_stats_pages(run.id()).size(), 1u);
  }
  EXPECT_EQ(::shm_open(stats_page_name(run.id(), 2).c_str(), O_RDONLY, 0), -1);
  EXPECT_EQ(errno, ENOENT);
}

TEST(StatsPage, ReadersNeverSeeAMixture) {
  const TestRun run("mixture");
  StatsPage page(run.rank(0));
  fill(page.stats(), 0);
  page.publish();
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (int64_t k = 1; !stop.load(std::memory_order_relaxed); ++k) {
      fill(page.stats(), k);
      page.publish();
    }
  });
  int64_t last = 0;
  int changes = 0, mixtures = 0, steps_back = 0;
  while (changes < 500) {
    const StepStats stats = read_stats_pages(run.id()).at(0).stats;
    mixtures += !is_whole(stats);
    steps_back += stats.steps < last;
    changes += stats.steps != last;
    last = stats.steps;
  }
  stop = true;
  writer.join();
  EXPECT_EQ(mixtures, 0);
  EXPECT_EQ(steps_back, 0);
}

TEST(StatsPage, KeepsLastValuesOfAWriterKilledWhilePublishing) {
  const TestRun run("torn");
  run.run_rank_that_dies(0, [&](StatsPage& page) {
    fill(page.stats(), 41);
    page.publish();
    fill(page.stats(), 42);
    edit_page(page.name(), [](StatsPageLayout& layout) {  // half of the next copy
      auto& next = layout.copies[(layout.published + 1) % 2];
      for (size_t i = 0; i < StatsPageLayout::kWords / 2; ++i) next[i] = 42;
    });
  });
  const auto ranks = read_stats_pages(run.id());
  ASSERT_EQ(ranks.size(), 1u);
  EXPECT_FALSE(ranks[0].is_alive);
  EXPECT_EQ(ranks[0].stats.steps, 41);
  EXPECT_TRUE(is_whole(ranks[0].stats));
}

TEST(StatsPage, RefusesTheNameOfALiveOwner) {
  const TestRun run("live");
  StatsPage page(run.rank(0));
  fill(page.stats(), 5);
  page.publish();
  EXPECT_THAT(message_of<Error>([&] { StatsPage second(run.rank(0)); }),
              AllOf(StartsWith("metrics: shared memory page "), HasSubstr(page.name()),
                    HasSubstr("its owner is running"), HasSubstr("same run id")));
  EXPECT_EQ(read_stats_pages(run.id()).at(0).stats.steps, 5);  // the first page is unharmed
}

TEST(StatsPage, ReplacesThePageOfADeadOwner) {
  const TestRun run("replace");
  run.run_rank_that_dies(0, [](StatsPage& page) {
    fill(page.stats(), 9);
    page.publish();
  });
  EXPECT_EQ(read_stats_pages(run.id()).at(0).stats.steps, 9);
  const StatsPage page(run.rank(0));
  const RankSnapshot rank = read_stats_pages(run.id()).at(0);
  EXPECT_TRUE(rank.is_alive);
  EXPECT_EQ(rank.stats.steps, 0);
}

TEST(StatsPage, SweepsDeadPagesOnly) {
  const TestRun run("sweep"), other("sweep-other");
  const StatsPage live(run.rank(0));
  const StatsPage of_other_run(other.rank(0));
  run.run_rank_that_dies(1, [](StatsPage&) {});
  run.run_rank_that_dies(2, [](StatsPage&) {});
  EXPECT_EQ(read_stats_pages(run.id()).size(), 3u);
  EXPECT_EQ(remove_dead_stats_pages(run.id()), 2);
  ASSERT_EQ(read_stats_pages(run.id()).size(), 1u);
  EXPECT_EQ(read_stats_pages(run.id())[0].info.rank, 0);
  EXPECT_EQ(read_stats_pages(other.id()).size(), 1u);
}

TEST(StatsPage, LeavesOutPagesItCannotUnderstand) {
  const TestRun run("foreign");
  const StatsPage page(run.rank(0));
  edit_page(page.name(), [](StatsPageLayout& layout) { layout.version = kStatsPageVersion + 1; });
  EXPECT_TRUE(read_stats_pages(run.id()).empty());
  edit_page(page.name(), [](StatsPageLayout& layout) {
    layout.version = kStatsPageVersion;
    layout.magic = 0;  // as while the page is being made
  });
  EXPECT_TRUE(read_stats_pages(run.id()).empty());

  const std::string empty = stats_page_name(run.id(), 1);
  ::close(::shm_open(empty.c_str(), O_CREAT | O_RDWR, 0600));
  EXPECT_TRUE(read_stats_pages(run.id()).empty());
  EXPECT_EQ(remove_dead_stats_pages(run.id()), 1);
}

TEST(StatsPage, NamesMemoryKindsAsTheAllocatorDoes) {
  ASSERT_EQ(kMemoryKindsReported, kMemoryKinds);
  for (size_t i = 0; i < kMemoryKindNames.size(); ++i) {
    EXPECT_STREQ(kMemoryKindNames[i], name_of(static_cast<MemoryKind>(i)));
  }
}

}  // namespace
}  // namespace trireme
