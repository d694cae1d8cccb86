// What may be done around DistributedDataParallel, and what is refused instead of training wrongly.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "core/autograd/backward.h"
#include "core/autograd/checkpointing.h"
#include "core/models/gpt.h"
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
using ::testing::FloatNear;
using ::testing::HasSubstr;
using testing::message_of;
using testing::TwoHeads;

Tensor loss_of(const TwoHeads& model, double scale = 1) {
  const Tensor x = full({1, 2}, scale);
  return sum(model.a.forward(x)) + sum(model.b.forward(x));
}

// `body` as rank of two, with a model of its own.
void with_model(const std::function<void(TwoHeads&, Communicator&)>& body) {
  run_ranks(2, [&](Communicator& comm) {
    Generator generator(1);
    TwoHeads model(generator);
    body(model, comm);
  });
}

std::vector<float> gradient_of(const Linear& layer) {
  return layer.weight().grad().to_vector<float>();
}

// `values` averaged over ranks by hand; integers, so that the result is exact.
std::vector<double> average(std::vector<double> values, Communicator& comm) {
  comm.all_reduce(values.data(), static_cast<int64_t>(values.size()), DType::kF64, ReduceOp::kSum)
      ->wait();
  for (double& v : values) v /= comm.world_size();
  return values;
}

TEST(DdpUse, GradientsOfSeveralBackwardsAddUp) {
  with_model([](TwoHeads& model, Communicator& comm) {
    DistributedDataParallel ddp(model, comm);
    ddp.backward(loss_of(model, comm.rank() + 1));
    EXPECT_THAT(gradient_of(model.a), ElementsAre(1.5, 1.5));
    ddp.backward(loss_of(model, 10 * (comm.rank() + 1)));
    EXPECT_THAT(gradient_of(model.a), ElementsAre(16.5, 16.5));
    EXPECT_THAT(gradient_of(model.b), ElementsAre(16.5, 16.5));
  });
}

// Every parameter is used, in two regions that nest and are computed again; the reducer, which
// takes an unused parameter for an error, must see each gradient once.
TEST(DdpUse, CheckpointedRegionsTrainAsPlainOnes) {
  with_model([](TwoHeads& model, Communicator& comm) {
    const auto loss = [&](bool checkpointed) {
      // What a region captures must live until backward: here by value.
      const auto head = [&model](const std::vector<Tensor>& in) {
        return tanh(model.b.forward(in[0]));
      };
      const auto both = [&model, head, checkpointed](const std::vector<Tensor>& in) {
        const Tensor b = checkpointed ? checkpoint(head, in) : head(in);
        return square(tanh(model.a.forward(in[0])) + b);
      };
      const std::vector<Tensor> x{full({1, 2}, 0.5 * (comm.rank() + 1))};
      return sum(checkpointed ? checkpoint(both, x) : both(x));
    };
    DistributedDataParallel ddp(model, comm);  // an unused parameter is an error
    std::vector<std::vector<float>> gradients;
    for (bool checkpointed : {false, true}) {
      for (int step = 0; step < 2; ++step) {  // the buckets are planned anew after the first
        model.zero_grad();
        ddp.backward(loss(checkpointed));
      }
      gradients.push_back(gradient_of(model.a));
      gradients.push_back(gradient_of(model.b));
    }
    EXPECT_EQ(gradients[2], gradients[0]);
    EXPECT_EQ(gradients[3], gradients[1]);
    EXPECT_NE(gradients[0][0], 0);
  });
}

TEST(DdpUse, AGptWithRecomputedBlocksTrainsAsAPlainOne) {
  run_ranks(2, [](Communicator& comm) {
    std::vector<std::vector<std::vector<float>>> gradients;
    for (bool recompute : {false, true}) {
      Generator generator(1);
      Gpt gpt({.vocab_size = 11,
               .context = 6,
               .layers = 3,
               .heads = 2,
               .dim = 8,
               .dropout = 0.2,
               .recompute_blocks = recompute},
              generator);
      DistributedDataParallel ddp(gpt, comm);  // an unused parameter is an error
      const Tensor ids = full({2, 6}, comm.rank() + 3, {DType::kI64});
      for (int step = 0; step < 2; ++step) {  // the buckets are planned anew after the first
        gpt.zero_grad();
        ddp.backward(gpt.loss(ids, ids));
      }
      auto& mine = gradients.emplace_back();
      for (const auto& [name, p] : gpt.named_parameters()) {
        mine.push_back(p.grad().to_vector<float>());
      }
    }
    EXPECT_EQ(gradients[1], gradients[0]);
  });
}

TEST(DdpUse, BuffersComeFromRankZero) {
  struct Counting : Module {
    explicit Counting(double start) : weight(ones({2})), counts(full({3}, start)) {
      weight.set_requires_grad(true);
      register_parameter("weight", weight);
      register_buffer("counts", counts);
    }
    Tensor weight, counts;
  };
  run_ranks(2, [](Communicator& comm) {
    Counting model(comm.rank() + 7);
    DistributedDataParallel ddp(model, comm);
    EXPECT_THAT(model.counts.to_vector<float>(), ElementsAre(7, 7, 7));
    fill_inplace(model.counts, comm.rank() + 20);
    ddp.backward(sum(model.weight));
    EXPECT_THAT(model.counts.to_vector<float>(),
                ElementsAre(20 + comm.rank(), 20 + comm.rank(), 20 + comm.rank()))
        << "backward leaves buffers alone";
    ddp.broadcast_buffers();
    EXPECT_THAT(model.counts.to_vector<float>(), ElementsAre(20, 20, 20));
  });
}

TEST(DdpUse, ParametersOfSeveralDtypesAreAveragedEachInItsOwn) {
  struct Mixed : Module {
    Mixed() {
      for (int i = 0; i < 4; ++i) {
        const DType dtype = i % 2 == 0 ? DType::kF32 : DType::kF64;
        parameters.push_back(ones({3}, {dtype}));
        parameters.back().set_requires_grad(true);
        register_parameter(concat("p", i), parameters.back());
      }
    }
    std::vector<Tensor> parameters;
  };
  run_ranks(3, [](Communicator& comm) {
    Mixed model;
    DistributedDataParallel ddp(model, comm);
    for (int pass = 0; pass < 2; ++pass) {  // with the buckets of before and after the new plan
      model.zero_grad();
      const auto loss = [&](int i) {
        return sum(model.parameters[i] * full({3}, comm.rank() + i, {model.parameters[i].dtype()}));
      };
      ddp.backward(to(loss(0) + loss(2), DType::kF64) + loss(1) + loss(3));
      for (int i = 0; i < 4; ++i) {
        const double mine = comm.rank() + i;
        EXPECT_EQ(model.parameters[i].grad().to_vector<double>(),
                  average({mine, mine, mine}, comm));
      }
    }
  });
}

TEST(DdpUse, FreezingAWrappedParameterIsRefusedByName) {
  with_model([](TwoHeads& model, Communicator& comm) {
    {
      DistributedDataParallel ddp(model, comm);
      Tensor(model.b.weight()).set_requires_grad(false);
      EXPECT_THAT(message_of([&] { ddp.backward(loss_of(model)); }),
                  HasSubstr("requires_grad of b.weight was changed after Distributed"));
    }
    // Frozen before it is wrapped, it just takes no part.
    DistributedDataParallel ddp(model, comm);
    ddp.backward(loss_of(model, comm.rank() + 1));
    EXPECT_THAT(gradient_of(model.a), ElementsAre(1.5, 1.5));
    EXPECT_FALSE(model.b.weight().requires_grad());
    Tensor(model.b.weight()).set_requires_grad(true);
    EXPECT_THAT(message_of([&] { ddp.backward(loss_of(model)); }),
                HasSubstr("requires_grad of b.weight was changed after Distributed"));
  });
}

TEST(DdpUse, AFrozenParameterDoesNotDisturbOtherModels) {
  with_model([](TwoHeads& model, Communicator& comm) {
    DistributedDataParallel ddp(model, comm);
    Tensor(model.b.weight()).set_requires_grad(false);
    Tensor x = ones({2});
    x.set_requires_grad(true);
    backward(sum(x * 2.0));
    EXPECT_THAT(x.grad().to_vector<float>(), ElementsAre(2, 2));
  });
}

TEST(DdpUse, AModelIsWrappedOnceAtATime) {
  with_model([](TwoHeads& model, Communicator& comm) {
    {
      DistributedDataParallel first(model, comm);
      EXPECT_THAT(message_of([&] { DistributedDataParallel(model, comm); }),
                  HasSubstr("a.weight is already wrapped by another DistributedDataParallel"));
      first.backward(loss_of(model, comm.rank() + 1));
      EXPECT_THAT(gradient_of(model.a), ElementsAre(1.5, 1.5)) << "the first still works";
    }
    DistributedDataParallel second(model, comm);
    EXPECT_THAT(gradient_of(model.a), ElementsAre(1.5, 1.5)) << "the gradient survives";
  });
}

TEST(DdpUse, ABackwardOnAnotherThreadIsRefused) {
  with_model([](TwoHeads& model, Communicator& comm) {
    DistributedDataParallel ddp(model, comm);
    std::string text;
    std::thread([&] { text = message_of([&] { ddp.backward(loss_of(model)); }); }).join();
    EXPECT_THAT(text, AllOf(HasSubstr("reducer: the gradient of "),
                            HasSubstr("on another thread than the one that constructed"),
                            HasSubstr("call backward on the same thread")));
  });
}

TEST(DdpUse, ABackwardInsideAnotherOneIsRefused) {
  with_model([](TwoHeads& model, Communicator& comm) {
    DistributedDataParallel ddp(model, comm);
    Tensor x = ones({2});
    x.set_requires_grad(true);
    const Tensor inner = loss_of(model);
    const auto hook = register_accumulate_hook(x, [&] { backward(inner); });
    EXPECT_THAT(message_of([&] { backward(sum(x * 2.0)); }),
                HasSubstr("by a backward inside another backward, so it is not averaged"));
  });
}

TEST(DdpUse, NoSyncGuardsNest) {
  with_model([](TwoHeads& model, Communicator& comm) {
    DistributedDataParallel ddp(model, comm);
    {
      const auto outer = ddp.no_sync();
      { const auto inner = ddp.no_sync(); }
      ddp.backward(loss_of(model, comm.rank() + 1));
      EXPECT_THAT(gradient_of(model.a), ElementsAre(comm.rank() + 1, comm.rank() + 1));
    }
    ddp.backward(loss_of(model, 0));
    EXPECT_THAT(gradient_of(model.a), ElementsAre(1.5, 1.5));
  });
}

TEST(DdpUse, TrainingGoesOnAfterAnUnsynchronisedBackwardThatThrew) {
  with_model([](TwoHeads& model, Communicator& comm) {
    DistributedDataParallel ddp(model, comm);
    if (comm.rank() == 1) {
      const auto local = ddp.no_sync();
      const auto hook =
          register_accumulate_hook(model.a.weight(), [] { throw Error("bad sample"); });
      EXPECT_THROW(ddp.backward(loss_of(model)), Error);
    }
    model.zero_grad();
    ddp.backward(loss_of(model, comm.rank() + 1));
    EXPECT_THAT(gradient_of(model.a), ElementsAre(1.5, 1.5));
  });
}

TEST(DdpUse, AStepStartsAnewAfterAMicroStepThatThrew) {
  with_model([](TwoHeads& model, Communicator& comm) {
    DistributedDataParallel ddp(model, comm);
    ddp.accumulate(3);
    if (comm.rank() == 1) {
      ddp.backward(loss_of(model));
      const auto hook =
          register_accumulate_hook(model.a.weight(), [] { throw Error("bad sample"); });
      EXPECT_THROW(ddp.backward(loss_of(model)), Error);
      model.zero_grad();
    }
    for (int micro = 0; micro < 3; ++micro) ddp.backward(loss_of(model, comm.rank() + 1));
    EXPECT_THAT(gradient_of(model.a), ElementsAre(FloatNear(1.5f, 1e-6f), FloatNear(1.5f, 1e-6f)));
  });
}

TEST(DdpUse, MicroStepsNeedALossOfOneElement) {
  with_model([](TwoHeads& model, Communicator& comm) {
    DistributedDataParallel ddp(model, comm);
    ddp.accumulate(2);
    EXPECT_EQ(message_of([&] {
                ddp.backward(model.a.forward(ones({3, 2})));
              }),
              concat("ddp: backward needs a loss of one element, got shape ",
                     model.a.forward(ones({3, 2})).shape()));
    EXPECT_EQ(message_of([&] { ddp.backward(Tensor()); }),
              "ddp: backward needs a loss of one element, got an undefined tensor");
  });
}

}  // namespace
}  // namespace trireme
