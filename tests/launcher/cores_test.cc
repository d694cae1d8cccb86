// Cores and threads for each rank.
#include "launcher/agent/cores.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/error.h"

namespace trireme {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(Cores, AreDividedEvenly) {
  const CoreShare share = share_cores({0, 4, 1, 5}, std::nullopt, 2);
  EXPECT_THAT(share.cores, ElementsAre(ElementsAre(0, 4), ElementsAre(1, 5)));
  EXPECT_EQ(share.threads, 2);
}

TEST(Cores, ARemainderIsSpreadButThreadsAreEqual) {
  const CoreShare share = share_cores({0, 1, 2, 3, 4}, std::nullopt, 2);
  EXPECT_THAT(share.cores, ElementsAre(ElementsAre(0, 1), ElementsAre(2, 3, 4)));
  EXPECT_EQ(share.threads, 2);
}

TEST(Cores, FewerCoresThanRanksAreNotBound) {
  const CoreShare share = share_cores({0, 1}, std::nullopt, 3);
  EXPECT_EQ(share.cores.size(), 3U);
  EXPECT_THAT(share.cores, Each(IsEmpty()));
  EXPECT_EQ(share.threads, 1);
}

TEST(Cores, AQuotaLimitsThreadsAndLeavesPlacementToTheSystem) {
  const CoreShare share = share_cores({0, 1, 2, 3, 4, 5, 6, 7}, 4.5, 2);
  EXPECT_THAT(share.cores, Each(IsEmpty()));
  EXPECT_EQ(share.threads, 2);
  EXPECT_EQ(share_cores({0, 1}, 0.5, 1).threads, 1);
  EXPECT_EQ(share_cores({0, 1}, 8.0, 1).threads, 2) << "a quota above the cores changes nothing";
}

TEST(Cores, NeedARankAndACore) {
  EXPECT_THROW(share_cores({}, std::nullopt, 1), InvalidArgument);
  EXPECT_THROW(share_cores({0}, std::nullopt, 0), InvalidArgument);
}

TEST(Cores, ThisProcessHasSome) { EXPECT_FALSE(allowed_cores().empty()); }

TEST(Cores, AreWrittenAsRanges) {
  EXPECT_EQ(format_cores({}), "");
  EXPECT_EQ(format_cores({8, 0, 2, 1, 5, 6}), "0-2,5-6,8");
}

}  // namespace
}  // namespace trireme
