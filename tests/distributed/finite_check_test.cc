// Ranks with values that are not finite are named, with their host, on every rank.

#include "distributed/finite_check.h"

#include <gtest/gtest.h>

#include <limits>

#include "core/autograd/gradient_slot.h"
#include "core/tensor/create.h"
#include "distributed/host_name.h"
#include "distributed/run_ranks.h"

namespace trireme {
namespace {

TEST(FiniteCheck, NamesTheRanksAndWhatTheySaw) {
  run_ranks(3, [](Communicator& comm) {
    OwnValues mine{.loss = 1.5, .bad_gradient = {}};
    EXPECT_EQ(describe_not_finite(mine, comm), "");
    if (comm.rank() == 1) mine.loss = std::numeric_limits<double>::infinity();
    if (comm.rank() == 2) mine.bad_gradient = "fc1.weight";
    EXPECT_EQ(describe_not_finite(mine, comm),
              concat("rank 1 on ", host_name(), " (loss inf), rank 2 on ", host_name(),
                     " (gradient of fc1.weight)"));
  });
}

TEST(FiniteCheck, FindsTheFirstParameter) {
  StateDict parameters;
  for (const char* name : {"without", "sound", "bad", "worse"}) {
    parameters.emplace_back(name, ones({2}).set_requires_grad());
  }
  EXPECT_EQ(first_not_finite(parameters), "");
  set_gradient(parameters[1].second, ones({2}));
  EXPECT_EQ(first_not_finite(parameters), "");
  set_gradient(parameters[3].second, full({2}, std::numeric_limits<double>::infinity()));
  set_gradient(parameters[2].second, full({2}, std::numeric_limits<double>::quiet_NaN()));
  EXPECT_EQ(first_not_finite(parameters), "bad");
}

}  // namespace
}  // namespace trireme
