// A number outside of its range on a device: nobody waits for it, nothing outside is touched, and
// the next wait throws it under the op's name.

#include "core/autograd/backward.h"
#include "core/cuda/stream.h"
#include "core/ops/losses.h"
#include "core/ops/ops.h"
#include "core/ops/recurrent.h"
#include "core/tensor/transfer.h"
#include "tests/gpu/gpu_test.h"
#include "tests/support/message_of.h"

namespace trireme::testing {
namespace {

class GpuIndexErrors : public GpuTest {
 protected:
  static Tensor ids(const std::vector<int64_t>& values, const Shape& shape) {
    return from_vector(values, shape, gpu());
  }
  /// What the wait behind `op` throws.
  template <typename Op>
  static std::string reported(const Op& op) {
    return message_of<Error>([&] {
      [[maybe_unused]] const auto y = op();
      cuda::synchronize(gpu().index);
    });
  }
  /// That of what has been queued.
  static std::string reported() {
    return reported([] { return 0; });
  }
};

Tensor some_rows(Device device, const Shape& shape = {3, 4}) {
  Generator generator(11);
  return to_device(randn(shape, generator), device);
}

using Floats = std::vector<float>;
Floats part_of(const Tensor& x, int64_t begin, int64_t end) {
  return slice(x.detach(), 0, begin, end).to_vector<float>();
}

void expect_near(const Floats& got, const Floats& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-5) << i;
}

TEST_F(GpuIndexErrors, AreThrownByTheNextWait) {
  const Tensor x = to_device(reshape(arange(6, {DType::kF32}), {3, 2}), gpu());
  EXPECT_EQ(reported([&] {
              return index_select(x, 0, ids({2, 7}, {2}));
            }),
            "index_select: index 7 at position 1 must be in [0, 3)");
  EXPECT_EQ(reported([&] {
              return gather(x, 1, ids({0, -1}, {1, 2}));
            }),
            "gather: index -1 at position 1 must be in [0, 2)");
  EXPECT_EQ(reported([&] {
              return scatter_add(x, 0, ids({1, 3}, {1, 2}), x);
            }),
            "scatter_add: index 3 at position 1 must be in [0, 3)");
  EXPECT_EQ(reported([&] {
              return one_hot(ids({1, 9}, {2}), 4);
            }),
            "one_hot: index 9 at position 1 must be in [0, 4)");
  EXPECT_EQ(reported([&] { return gather(x, 1, ids({0, 1}, {1, 2})); }), "nothing was thrown");
}

TEST_F(GpuIndexErrors, LeaveWhatIsInsideRight) {
  const Tensor x = to_device(reshape(arange(6, {DType::kF32}), {3, 2}), gpu());
  const Tensor taken = index_select(x, 0, ids({2, 7, 1}, {3}));
  const Tensor added = scatter_add(x, 0, ids({1, 9}, {1, 2}), x);
  EXPECT_NE(reported(), "nothing was thrown");
  EXPECT_EQ(taken.to_vector<float>(), (Floats{4, 5, 0, 1, 2, 3}));
  EXPECT_EQ(added.to_vector<float>(), (Floats{0, 1, 2, 3, 4, 5}));
}

// Loss and gradient of a row whose target is no class are 0; the other rows' are the CPU's.
TEST_F(GpuIndexErrors, OfNllLossLeaveTheOtherRowsRight) {
  const NllOptions each{.reduction = Reduction::kNone};
  for (const int64_t outside : {int64_t{4}, int64_t{-1}, int64_t{1} << 40}) {
    Tensor here = some_rows({}).set_requires_grad(), there = some_rows(gpu()).set_requires_grad();
    const Tensor want = nll_loss(here, from_vector<int64_t>({1, 0, 3}, {3}), each);
    const Tensor got = nll_loss(there, ids({1, outside, 3}, {3}), each);
    backward(sum(want));
    backward(sum(got));
    EXPECT_EQ(reported(), concat("nll_loss: index ", outside, " at position 1 must be in [0, 4)"));
    const Floats losses = want.to_vector<float>();
    expect_near(got.to_vector<float>(), {losses[0], 0, losses[2]});
    expect_near(part_of(there.grad(), 0, 1), part_of(here.grad(), 0, 1));
    expect_near(part_of(there.grad(), 1, 2), Floats(4, 0));
    expect_near(part_of(there.grad(), 2, 3), part_of(here.grad(), 2, 3));
  }
}

TEST_F(GpuIndexErrors, OfCrossEntropyWithOptionsLeaveTheOtherRowsRight) {
  const auto losses_on = [](Device device, int64_t middle) {
    const Tensor weight = to_device(from_vector(Floats{1, 2, 3, 4}, {4}), device);
    const Tensor targets = from_vector<int64_t>({1, middle, 2}, {3}, device);
    return cross_entropy(
        some_rows(device, {3, 5}), targets,
        {.weight = weight, .label_smoothing = 0.1, .classes = 4, .reduction = Reduction::kNone});
  };
  const Tensor got = losses_on(gpu(), 4);  // a logit, but no class
  EXPECT_EQ(reported(), "cross_entropy: index 4 at position 1 must be in [0, 4)");
  const Floats want = losses_on({}, 0).to_vector<float>();
  expect_near(got.to_vector<float>(), {want[0], 0, want[2]});
}

TEST_F(GpuIndexErrors, OfCrossEntropyInPlaceLeaveTheOtherRowsRight) {
  const auto gradient_on = [](Device device, int64_t middle) {
    Tensor x = some_rows(device).set_requires_grad();
    const Tensor targets = from_vector<int64_t>({1, middle, 2}, {3}, device);
    backward(cross_entropy_inplace(x * 1.0, targets));
    return x.grad();
  };
  const Tensor got = gradient_on(gpu(), -7), want = gradient_on({}, 0);
  EXPECT_EQ(reported(), "cross_entropy_inplace: index -7 at position 1 must be in [0, 4)");
  expect_near(part_of(got, 0, 1), part_of(want, 0, 1));
  expect_near(part_of(got, 2, 3), part_of(want, 2, 3));
}

// A sequence that is said to be longer than x goes to its end.
TEST_F(GpuIndexErrors, OfSequenceLengthsLeaveTheSequencesRight) {
  struct Results {
    Tensor lstm, gru, rnn;
  };
  const auto run_on = [](Device device, const Tensor& lengths) {
    const Tensor x = some_rows(device, {2, 3, 4});
    const auto weights = [&](int64_t gates) {
      return RecurrentWeights{.input = some_rows(device, {4, gates * 2}),
                              .hidden = some_rows(device, {2, gates * 2}),
                              .input_bias = {},
                              .hidden_bias = {}};
    };
    const RecurrentOptions options{.lengths = lengths};
    return Results{.lstm = lstm(x, weights(4), {}, {}, options).y,
                   .gru = gru(x, weights(3), {}, options).y,
                   .rnn = rnn(x, weights(1), {}, Nonlinearity::kTanh, options).y};
  };
  const Results want = run_on({}, from_vector<int64_t>({2, 3}, {2}));
  const Tensor outside = ids({2, 9}, {2});
  const Results got = run_on(gpu(), outside);
  EXPECT_EQ(reported(), "lstm: index 9 at position 1 must be in [0, 4)") << "the first is kept";
  expect_near(got.lstm.to_vector<float>(), want.lstm.to_vector<float>());
  expect_near(got.gru.to_vector<float>(), want.gru.to_vector<float>());
  expect_near(got.rnn.to_vector<float>(), want.rnn.to_vector<float>());
}

}  // namespace
}  // namespace trireme::testing
