#include "core/amp/grad_scaler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/amp/autocast.h"
#include "core/autograd/backward.h"
#include "core/ops/ops.h"
#include "core/optim/clip.h"
#include "core/optim/sgd.h"
#include "distributed/control_channel.h"
#include "distributed/ddp.h"
#include "distributed/run_ranks.h"

namespace trireme {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

TEST(GradScaler, GrowsAfterFiniteStepsAndFallsAfterOthers) {
  GradScaler scaler({.initial_scale = 8, .growth_interval = 3});
  const auto after = [&](bool finite) {
    scaler.update(finite);
    return scaler.scale();
  };
  EXPECT_EQ(after(true), 8);
  EXPECT_EQ(after(true), 8);
  EXPECT_EQ(after(true), 16);
  EXPECT_EQ(after(true), 16);
  EXPECT_EQ(after(false), 8);
  EXPECT_EQ(after(true), 8);
  EXPECT_EQ(after(true), 8);
  EXPECT_EQ(after(true), 16) << "the count begins anew after an overflow";
  EXPECT_EQ(scaler.state().skipped_steps, 1);
}

TEST(GradScaler, StaysFinite) {
  GradScaler scaler({.growth_interval = 1});
  for (int i = 0; i < 2000; ++i) scaler.update(true);
  EXPECT_TRUE(std::isfinite(static_cast<float>(scaler.scale())));
}

TEST(GradScaler, GoesOnFromItsState) {
  GradScaler whole({.growth_interval = 5});
  for (bool finite : {true, false, true, true, true}) whole.update(finite);
  GradScaler resumed({.growth_interval = 5});
  resumed.set_state(whole.state());
  for (int i = 0; i < 2; ++i) {
    whole.update(true);
    resumed.update(true);
  }
  EXPECT_EQ(whole.state(), resumed.state());
  EXPECT_EQ(resumed.scale(), 65536);
}

TEST(GradScaler, RefusesWhatCannotWork) {
  EXPECT_THAT([] { GradScaler({.backoff = 1}); },
              ThrowsMessage<InvalidArgument>(HasSubstr("0 < backoff < 1")));
  EXPECT_THAT([] { GradScaler({.initial_scale = 0}); },
              ThrowsMessage<InvalidArgument>(HasSubstr("must be positive and finite")));
}

/// A model of one weight: loss = mean(x w), through an f16 product.
struct Line : Module {
  Line() : w(ones({4, 4}).set_requires_grad()) { register_parameter("w", w); }
  Tensor loss(double x) const {
    const Autocast autocast(DType::kF16);
    return mean(matmul(full({4, 4}, x), w));
  }
  Tensor w;
};

TEST(GradScaler, KeepsGradientsThatF16CannotHold) {
  const Line line;
  // The gradient of w is x / 4, far below 2^-24, the smallest f16: it is lost on its way.
  const double tiny = 0x1p-24;
  backward(line.loss(tiny));
  EXPECT_EQ(grad_norm(line.named_parameters()), 0);
  Tensor(line.w).zero_grad();
  const GradScaler scaler;
  backward(scaler.scaled(line.loss(tiny)));
  EXPECT_NEAR(grad_norm(line.named_parameters()) / scaler.scale(), tiny, 0.01 * tiny);
}

// One step as the header shows it; returns whether it was done.
bool step(DistributedDataParallel& ddp, const Tensor& loss, Sgd& optimizer, GradScaler& scaler) {
  ddp.backward(scaler.scaled(loss));
  const GradientNorm g = clip_grad_norm(optimizer.parameters(), 1e-3, scaler.scale());
  optimizer.step(g.factor);
  const bool finite = std::isfinite(g.norm.item());
  scaler.update(finite);
  optimizer.zero_grad();
  return finite;
}

TEST(GradScaler, LeavesAStepOutOnAllRanksWhereOneOverflows) {
  run_ranks(2, [](Communicator& comm) {
    Line line;
    DistributedDataParallel ddp(line, comm);
    Sgd optimizer({{line.named_parameters(), {}}}, {.lr = 1});
    GradScaler scaler;
    const std::vector<float> before = line.w.to_vector<float>();
    // 2^16 / 16 * 4 x is beyond 65504 for x = 16, on rank 1 alone.
    EXPECT_FALSE(step(ddp, line.loss(comm.rank() == 1 ? 16 : 1), optimizer, scaler));
    EXPECT_EQ(optimizer.state_dict().back().second.item(), 0) << "it does not count";
    EXPECT_EQ(line.w.to_vector<float>(), before);
    EXPECT_EQ(scaler.state(), (GradScaler::State{.scale = 32768, .skipped_steps = 1}));
    // Clipped to a norm of 1e-3 whatever the scale: 16 equal elements.
    EXPECT_TRUE(step(ddp, line.loss(1), optimizer, scaler));
    EXPECT_NEAR(line.w.to_vector<float>()[0], 1 - 1e-3 / 4, 1e-6);
  });
}

TEST(GradScaler, SeesAnOverflowThroughAverages) {
  run_ranks(2, [](Communicator& comm) {
    Line line;
    DistributedDataParallel ddp(line, comm);
    const GradScaler scaler;
    ddp.backward(scaler.scaled(line.loss(comm.rank() == 1 ? 16 : 1)));
    EXPECT_FALSE(std::isfinite(grad_norm(line.named_parameters()))) << "rank " << comm.rank();
  });
}

TEST(StepAgreement, RefusesGradientsThatAreFiniteOnSomeRanksOnly) {
  run_ranks(3, [](Communicator& comm) {
    EXPECT_TRUE(agree_on_step({.samples = 1}, comm).is_finite);
    EXPECT_FALSE(agree_on_step({.samples = 1, .is_finite = false}, comm).is_finite);
    EXPECT_THAT([&] { agree_on_step({.samples = 1, .is_finite = comm.rank() != 2}, comm); },
                ThrowsMessage<Error>(HasSubstr("finite on 2 of 3 ranks")));
  });
}

}  // namespace
}  // namespace trireme
