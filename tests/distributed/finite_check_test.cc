// Ranks with values that are not finite are named, with their host, on every rank.

#include "distributed/finite_check.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/autograd/gradient_slot.h"
#include "core/tensor/create.h"
#include "distributed/host_name.h"
#include "distributed/run_ranks.h"

namespace trireme {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

TEST(FiniteCheck, NamesTheRanksWhoseLossIsNotFinite) {
  run_ranks(3, [](Communicator& comm) {
    const double loss = comm.rank() == 0 ? 1 : comm.rank() == 1 ? -kInf : std::sqrt(-1.0);
    EXPECT_EQ(
        ranks_not_finite(
            loss, {}, [] { ADD_FAILURE() << "needless"; }, comm),
        concat("rank 1 on ", host_name(), " (loss inf), rank 2 on ", host_name(), " (loss nan)"));
  });
}

TEST(FiniteCheck, OtherwiseLooksForGradientsThatWereNot) {
  run_ranks(2, [](Communicator& comm) {
    const Tensor p = ones({2}).set_requires_grad();
    const auto ranks = [&](double of_rank_1) {
      const auto backward_again = [&] {
        EXPECT_FALSE(p.grad().defined()) << "the average is still there";
        set_gradient(p, full({2}, comm.rank() == 1 ? of_rank_1 : 1));
      };
      return ranks_not_finite(0, {{"fc1.weight", p}}, backward_again, comm);
    };
    EXPECT_EQ(ranks(kInf), concat("rank 1 on ", host_name(), " (gradient of fc1.weight)"));
    EXPECT_EQ(ranks(1), "");
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
