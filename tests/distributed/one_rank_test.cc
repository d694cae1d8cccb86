// Data parallelism of one rank: nothing is reduced, and nothing but that differs from more.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/autograd/backward.h"
#include "core/ops/ops.h"
#include "core/tensor/create.h"
#include "distributed/ddp.h"
#include "distributed/run_ranks.h"
#include "tests/distributed/two_heads.h"
#include "tests/support/message_of.h"

namespace trireme {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::message_of;
using ::testing::Not;
using testing::TwoHeads;

const Tensor& weight_of(const Linear& layer) { return layer.weight(); }

void alone(const std::function<void(TwoHeads&, Communicator&)>& body) {
  run_ranks(1, [&](Communicator& comm) {
    Generator generator(1);
    TwoHeads model(generator);
    body(model, comm);
  });
}

TEST(OneRank, HasNoBucketsAndStartsNoCollectives) {
  alone([](TwoHeads& model, Communicator& comm) {
    DistributedDataParallel ddp(model, comm);
    const int64_t before = comm.stats().operations;
    const Tensor x = ones({1, 2});
    for (int step = 1; step <= 2; ++step) {
      ddp.backward(sum(model.a.forward(x)) + sum(model.b.forward(x)));
      EXPECT_THAT(weight_of(model.a).grad().to_vector<float>(), ElementsAre(step, step));
    }
    EXPECT_EQ(comm.stats().operations, before);
    EXPECT_TRUE(ddp.reducer().buckets().empty());
    EXPECT_EQ(ddp.reducer().bucket_bytes(), 0);
    EXPECT_TRUE(ddp.reducer().is_rebuilt());
  });
}

TEST(OneRank, NamesParametersThatWereNotUsed) {
  alone([](TwoHeads& model, Communicator& comm) {
    DistributedDataParallel ddp(model, comm);
    const Tensor x = ones({1, 2});
    EXPECT_THAT(message_of([&] { ddp.backward(sum(model.a.forward(x))); }),
                AllOf(HasSubstr("b.weight: used on no rank"), Not(HasSubstr("a.weight")),
                      HasSubstr("UnusedParameters::kAllow")));
    EXPECT_FALSE(weight_of(model.a).grad().defined()) << "nothing is left to step with";
    ddp.backward(sum(model.a.forward(x)) + sum(model.b.forward(x)));
    EXPECT_THAT(weight_of(model.b).grad().to_vector<float>(), ElementsAre(1, 1));
  });
}

TEST(OneRank, AllowsUnusedParametersIfAsked) {
  alone([](TwoHeads& model, Communicator& comm) {
    DistributedDataParallel ddp(model, comm, {.sizes = {}, .unused = UnusedParameters::kAllow});
    const Tensor x = ones({1, 2});
    {
      const auto local = ddp.no_sync();
      ddp.backward(sum(model.a.forward(x)));
    }
    ddp.backward(sum(model.a.forward(x)));
    EXPECT_THAT(weight_of(model.a).grad().to_vector<float>(), ElementsAre(2, 2));
    EXPECT_FALSE(weight_of(model.b).grad().defined());
  });
}

TEST(OneRank, RefusesWhatMoreRanksRefuse) {
  alone([](TwoHeads& model, Communicator& comm) {
    DistributedDataParallel ddp(model, comm);
    EXPECT_THAT(message_of([&] { DistributedDataParallel again(model, comm); }),
                HasSubstr("already wrapped"));
    const Tensor x = ones({1, 2});
    const Tensor loss = sum(model.a.forward(x)) + sum(model.b.forward(x));
    Tensor(weight_of(model.b)).set_requires_grad(false);
    EXPECT_THAT(message_of([&] { ddp.backward(loss); }),
                HasSubstr("requires_grad of b.weight was changed"));
  });
}

}  // namespace
}  // namespace trireme
