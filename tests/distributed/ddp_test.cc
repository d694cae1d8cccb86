// Data parallelism does not change the training: N ranks with batch B against one with batch N * B.

#include "distributed/ddp.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/autograd/backward.h"
#include "core/autograd/no_grad.h"
#include "core/models/gpt.h"
#include "core/optim/adam.h"
#include "core/optim/clip.h"
#include "core/optim/sgd.h"
#include "distributed/local_communicator.h"
#include "distributed/run_ranks.h"
#include "tests/distributed/two_heads.h"
#include "tests/support/run_ranks.h"

namespace trireme {
namespace {

using ::testing::HasSubstr;
using testing::RankCase;
using testing::TwoHeads;

constexpr int64_t kContext = 6, kVocab = 11, kSteps = 20;
// The key biases of attention differ most: their true gradient is zero, and Adam scales up what
// rounding leaves of it.
constexpr double kTolerance = 1e-9;

// Small buckets, so that even this model has several.
constexpr ReducerOptions kSmallBuckets{
    .sizes = {.head_bytes = 512, .cap_bytes = 4096, .tail_bytes = 512}};

Gpt tiny_gpt(uint64_t seed = 3) {
  Generator generator(seed);
  return Gpt({.vocab_size = kVocab, .context = kContext, .layers = 2, .heads = 2, .dim = 8},
             generator, {DType::kF64});
}

// `count` sequences of step `step`, the same whoever asks; this rank takes [begin, begin + count).
Tensor sequences(int64_t step, int64_t begin, int64_t count) {
  std::vector<int64_t> ids;
  for (int64_t s = begin; s < begin + count; ++s) {
    for (int64_t t = 0; t < kContext; ++t) {
      ids.push_back(static_cast<int64_t>(
          philox(77, static_cast<uint64_t>((step * 64 + s) * kContext + t))[0] % kVocab));
    }
  }
  return from_vector(ids, {count, kContext});
}

enum class Rule { kSgd, kAdamW };

std::unique_ptr<Optimizer> make_optimizer(Rule rule, const Module& model) {
  auto groups = decay_matrices_only(model.named_parameters(), 0.1);
  if (rule == Rule::kSgd) {
    return std::make_unique<Sgd>(std::move(groups), SgdOptions{.lr = 0.1, .momentum = 0.9});
  }
  return std::make_unique<AdamW>(std::move(groups), AdamOptions{.lr = 1e-2});
}

// Name and values of each parameter.
using Weights = std::vector<std::pair<std::string, std::vector<double>>>;

// kSteps steps with `batch` sequences per rank and micro-batch.
Weights trained(Rule rule, int64_t batch, int micro_batches, Communicator& comm) {
  Gpt model = tiny_gpt();
  DistributedDataParallel ddp(model, comm, kSmallBuckets);
  ddp.accumulate(micro_batches);
  const auto optimizer = make_optimizer(rule, model);
  for (int64_t step = 0; step < kSteps; ++step) {
    for (int64_t micro = 0; micro < micro_batches; ++micro) {
      const int64_t place = comm.rank() * micro_batches + micro;
      const Tensor ids = sequences(step, place * batch, batch);
      ddp.backward(model.loss(ids, ids));
    }
    optimizer->step(clip_grad_norm(model.named_parameters(), 1.0).factor);
    optimizer->zero_grad();
  }
  ddp.check_replicas();
  Weights weights;
  for (const auto& [name, p] : model.named_parameters()) {
    weights.emplace_back(name, p.to_vector<double>());
  }
  return weights;
}

Weights trained_alone(Rule rule, int64_t batch) {
  const auto alone = std::move(make_local_communicators(1, {}).front());
  return trained(rule, batch, 1, *alone);
}

double rms(const std::vector<double>& values) {
  double squares = 0;
  for (const double v : values) squares += v * v;
  return std::sqrt(squares / static_cast<double>(values.size()));
}

// Equal up to the rounding of sums in another order: all parameters as one vector, and each
// relative to the element or, near zero, to its tensor.
void expect_equal(const Weights& got, const Weights& want) {
  ASSERT_EQ(got.size(), want.size());
  double difference = 0, whole = 0;
  for (size_t t = 0; t < got.size(); ++t) {
    const auto& [name, values] = want[t];
    const double scale = rms(values);
    ASSERT_EQ(got[t].second.size(), values.size());
    for (size_t i = 0; i < values.size(); ++i) {
      difference += std::pow(got[t].second[i] - values[i], 2);
      whole += std::pow(values[i], 2);
      ASSERT_LE(std::fabs(got[t].second[i] - values[i]),
                kTolerance * std::max(scale, std::fabs(values[i])))
          << name << ", element " << i;
    }
  }
  EXPECT_LE(std::sqrt(difference / whole), 1e-10);
}

class Trajectory : public ::testing::TestWithParam<RankCase> {};

TEST_P(Trajectory, IsThatOfOneRankWithTheWholeBatch) {
  const int world = GetParam().world_size;
  testing::run_ranks_on(GetParam().backend, world, [&](Communicator& comm) {
    for (Rule rule : {Rule::kSgd, Rule::kAdamW}) {
      expect_equal(trained(rule, 2, 1, comm), trained_alone(rule, 2 * world));
    }
  });
}

TEST_P(Trajectory, DoesNotDependOnMicroBatches) {
  const int world = GetParam().world_size;
  testing::run_ranks_on(GetParam().backend, world, [&](Communicator& comm) {
    expect_equal(trained(Rule::kAdamW, 1, 3, comm), trained_alone(Rule::kAdamW, 3 * world));
  });
}

INSTANTIATE_TEST_SUITE_P(Backends, Trajectory, ::testing::ValuesIn(testing::all_rank_cases()),
                         [](const auto& each) { return testing::case_name(each.param); });

TEST(Ddp, StartsFromRankZerosWeights) {
  run_ranks(3, [](Communicator& comm) {
    Gpt model = tiny_gpt(static_cast<uint64_t>(100 + comm.rank()));
    DistributedDataParallel ddp(model, comm);
    ddp.check_replicas();
    const Gpt rank_0 = tiny_gpt(100);
    EXPECT_EQ(model.named_parameters()[0].second.to_vector<double>(),
              rank_0.named_parameters()[0].second.to_vector<double>());
  });
}

TEST(Ddp, PlansBucketsAnewOnceAndKeepsOneTimesTheMemory) {
  run_ranks(2, [](Communicator& comm) {
    Gpt model = tiny_gpt();
    DistributedDataParallel ddp(model, comm, kSmallBuckets);
    const Tensor ids = sequences(0, 0, 1);
    EXPECT_FALSE(ddp.reducer().is_rebuilt());
    ddp.backward(model.loss(ids, ids));
    EXPECT_TRUE(ddp.reducer().is_rebuilt());
    EXPECT_GE(ddp.reducer().buckets().size(), 3u);
    // ln_f is the last layer, so its gradients are complete first; wpe's is complete last.
    const StateDict parameters = model.named_parameters();
    const auto& buckets = ddp.reducer().buckets();
    EXPECT_THAT(parameters[buckets.front().params.front()].first, HasSubstr("ln_f"));
    EXPECT_THAT(parameters[buckets.back().params.back()].first, HasSubstr("wpe"));
    int64_t gradient_bytes = 0;
    for (const auto& [name, p] : parameters) {
      EXPECT_TRUE(p.grad().defined()) << name;
      gradient_bytes += p.nbytes();
    }
    // What is more than the gradients is alignment and one flag per parameter.
    const auto padding = static_cast<int64_t>((parameters.size() + buckets.size()) * 128);
    EXPECT_LE(ddp.reducer().bucket_bytes(), gradient_bytes + padding);
  });
}

TEST(Ddp, NoSyncAccumulatesLocally) {
  run_ranks(2, [](Communicator& comm) {
    Gpt model = tiny_gpt();
    DistributedDataParallel ddp(model, comm);
    const Tensor mine = sequences(0, comm.rank(), 1);
    {
      const auto local = ddp.no_sync();
      ddp.backward(model.loss(mine, mine));
    }
    const std::vector<double> one = model.named_parameters()[5].second.grad().to_vector<double>();
    ddp.backward(model.loss(mine, mine));
    std::vector<double> sum = one;  // of both ranks, by hand
    comm.all_reduce(sum.data(), static_cast<int64_t>(sum.size()), DType::kF64, ReduceOp::kSum)
        ->wait();
    const std::vector<double> two = model.named_parameters()[5].second.grad().to_vector<double>();
    for (size_t i = 0; i < sum.size(); ++i) EXPECT_NEAR(two[i], sum[i], 1e-14);
  });
}

TEST(Ddp, NamesParametersThatSomeRankDidNotUseAndTheRanksThatDid) {
  run_ranks(3, [](Communicator& comm) {
    Generator generator(1);
    TwoHeads model(generator);
    DistributedDataParallel ddp(model, comm);
    const Tensor x = ones({4, 2});
    Tensor loss = mean(model.a.forward(x));
    if (comm.rank() != 1) loss = loss + mean(model.b.forward(x));
    try {
      ddp.backward(loss);
      ADD_FAILURE() << "rank " << comm.rank() << " did not notice";
    } catch (const InvalidArgument& error) {
      EXPECT_THAT(error.what(), HasSubstr("b.weight: used on rank 0, 2"));
      EXPECT_THAT(error.what(), HasSubstr("UnusedParameters::kAllow"));
      EXPECT_THAT(error.what(), ::testing::Not(HasSubstr("a.weight")));
    }
    EXPECT_FALSE(model.a.weight().grad().defined()) << "nothing is left to step with";
    // All ranks saw the same error, so they may go on together.
    ddp.backward(mean(model.a.forward(x)) + mean(model.b.forward(x)));
    EXPECT_TRUE(model.b.weight().grad().defined());
  });
}

TEST(Ddp, AllowsUnusedParametersIfAsked) {
  run_ranks(2, [](Communicator& comm) {
    Generator generator(1);
    TwoHeads model(generator);
    DistributedDataParallel ddp(model, comm, {.sizes = {}, .unused = UnusedParameters::kAllow});
    const Tensor x = ones({1, 2});
    for (int pass = 0; pass < 2; ++pass) {
      model.zero_grad();
      // b is used by rank 0 only; then by nobody.
      Tensor loss = sum(model.a.forward(x));
      if (comm.rank() == 0 && pass == 0) loss = loss + sum(model.b.forward(x));
      ddp.backward(loss);
      EXPECT_EQ(model.a.weight().grad().to_vector<float>(), (std::vector<float>{1, 1}));
      if (pass == 0) {
        EXPECT_EQ(model.b.weight().grad().to_vector<float>(), (std::vector<float>{0.5, 0.5}));
      } else {
        EXPECT_FALSE(model.b.weight().grad().defined());
      }
    }
  });
}

TEST(Ddp, GradientsDiscardedBeforeSynchronisingDoNotCount) {
  run_ranks(2, [](Communicator& comm) {
    Generator generator(1);
    TwoHeads model(generator);
    DistributedDataParallel ddp(model, comm, {.sizes = {}, .unused = UnusedParameters::kAllow});
    const Tensor x = ones({1, 2});
    {
      const auto local = ddp.no_sync();
      ddp.backward(sum(model.b.forward(x)));
    }
    model.zero_grad();
    ddp.backward(sum(model.a.forward(x)));
    EXPECT_TRUE(model.a.weight().grad().defined());
    EXPECT_FALSE(model.b.weight().grad().defined()) << "the discarded gradient came back";
  });
}

TEST(Ddp, RefusesDifferentModelsAndNamesTheDifference) {
  run_ranks(3, [](Communicator& comm) {
    Generator generator(1);
    struct Holder : Module {
      Holder(int64_t width, Generator& g) : first(2, 3, g), second(3, width, g) {
        register_module("first", first);
        register_module("second", second);
      }
      Linear first, second;
    } model(comm.rank() == 2 ? 5 : 4, generator);
    try {
      DistributedDataParallel ddp(model, comm);
      ADD_FAILURE() << "rank " << comm.rank() << " did not notice";
    } catch (const CommError& error) {
      EXPECT_EQ(error.kind(), CommError::Kind::kMismatch);
      EXPECT_THAT(error.what(), HasSubstr("rank 0, 1: parameter second.weight f32[3, 4]"));
      EXPECT_THAT(error.what(), HasSubstr("rank 2: parameter second.weight f32[3, 5]"));
    }
  });
}

TEST(Ddp, CheckReplicasNamesTheParameterThatDiffers) {
  run_ranks(2, [](Communicator& comm) {
    Gpt model = tiny_gpt();
    DistributedDataParallel ddp(model, comm);
    ddp.check_replicas();
    if (comm.rank() == 1) {
      NoGrad no_grad;
      fill_inplace(model.named_parameters()[3].second, 7);
    }
    try {
      ddp.check_replicas();
      ADD_FAILURE();
    } catch (const CommError& error) {
      EXPECT_THAT(error.what(), HasSubstr(model.named_parameters()[3].first));
    }
  });
}

TEST(Ddp, RefusesToGoOnAfterABackwardThatFailedHalfWay) {
  run_ranks(1, [](Communicator& comm) {
    Generator generator(1);
    TwoHeads model(generator);
    DistributedDataParallel ddp(model, comm);
    const Tensor h = model.a.forward(ones({1, 2})) + model.b.forward(ones({1, 2}));
    auto hook = register_hook(h, [](const Tensor&) -> Tensor { throw Error("broken"); });
    EXPECT_THROW(ddp.backward(sum(h)), Error);
    hook.remove();
    EXPECT_THROW(ddp.backward(sum(model.a.forward(ones({1, 2})))), InvalidArgument);
  });
}

}  // namespace
}  // namespace trireme
