#include "core/autograd/saved_tensor_hooks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/autograd/backward.h"
#include "core/autograd/no_grad.h"
#include "core/ops/ops.h"
#include "tests/support/leaves.h"
#include "tests/support/message_of.h"

namespace trireme {
namespace {

using testing::constant;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::leaf;
using testing::message_of;
using testing::values;
using Unpack = SavedTensorHooks::Unpack;

/// Packs to f32 and counts.
struct Counting {
  int packed = 0, unpacked = 0;
  SavedTensorHooks hooks{[this](const Tensor& x) -> Unpack {
    ++packed;
    return [this, small = cast(x, DType::kF32), dtype = x.dtype()] {
      ++unpacked;
      return cast(small, dtype);
    };
  }};
};

TEST(SavedTensorHooks, PackInForwardAndUnpackInBackward) {
  const Tensor x = leaf({2, 3});
  Tensor y;
  std::optional<Counting> counting(std::in_place);
  y = sum(exp(x) * x);
  EXPECT_EQ(counting->packed, 3) << "the result of exp, and both factors";
  EXPECT_EQ(counting->unpacked, 0);
  backward(y, {.retain_graph = true});
  EXPECT_EQ(counting->unpacked, 3);
  EXPECT_NEAR(x.grad().to_vector<double>()[0], std::exp(2) * 3, 1e-5);
  backward(y);
  EXPECT_EQ(counting->unpacked, 6) << "once per run of a formula";
}

TEST(SavedTensorHooks, OnlyWhileTheGuardLivesAndTheInnermost) {
  const Tensor x = leaf({2});
  Counting outer;
  {
    Counting inner;
    const Tensor y = square(x);
    EXPECT_EQ(inner.packed, 1);
    EXPECT_EQ(outer.packed, 0);
  }
  const Tensor y = square(x);
  EXPECT_EQ(outer.packed, 1);
  const NoGrad no_grad;
  square(x);
  EXPECT_EQ(outer.packed, 1) << "nothing is kept where nothing is recorded";
}

TEST(SavedTensorHooks, MayReplaceWhatBackwardSees) {
  const Tensor x = leaf({2});
  Tensor y;
  {
    const SavedTensorHooks hooks([](const Tensor& t) -> Unpack {
      return [like = t] { return full(like.shape(), 10, {like.dtype(), like.device()}); };
    });
    y = sum(square(x));
  }
  backward(y);
  EXPECT_THAT(values(x.grad()), ElementsAre(20));
}

TEST(SavedTensorHooks, GetATensorWithoutHistoryAndRecordNothing) {
  const Tensor x = leaf({2});
  bool asked = false;
  const SavedTensorHooks hooks([&](const Tensor& t) -> Unpack {
    asked = true;
    EXPECT_FALSE(t.requires_grad());
    EXPECT_FALSE(is_recording());
    return [t] {
      EXPECT_FALSE(is_recording());
      return t;
    };
  });
  const Tensor h = x * 3.0;
  backward(sum(square(h)));
  EXPECT_TRUE(asked);
  EXPECT_THAT(values(x.grad()), ElementsAre(36));
}

TEST(SavedTensorHooks, KeepTheHistoryForASecondDerivative) {
  const Tensor x = leaf({2});
  Tensor y;
  {
    Counting counting;
    y = sum(exp(square(x)));
    const Tensor first = grad({y}, {x}, {.create_graph = true})[0];  // 2 x e^(x^2)
    const double e = std::exp(4);
    EXPECT_NEAR(first.item(), 4 * e, 1e-4);
    EXPECT_NEAR(grad({first}, {x})[0].item(), (2 + 16) * e, 1e-3);
  }
}

TEST(SavedTensorHooks, MustGiveBackWhatTheyWereGiven) {
  const Tensor x = leaf({2, 3});
  Tensor y;
  {
    const SavedTensorHooks hooks(
        [](const Tensor&) -> Unpack { return [] { return constant({1}); }; });
    y = sum(square(x));
  }
  EXPECT_THAT(message_of([&] { backward(y); }),
              HasSubstr("square: a saved tensor hook must give back f64[2]"));
  const SavedTensorHooks changing([](const Tensor& t) -> Unpack {
    fill_inplace(t, 0);
    return [t] { return t; };
  });
  EXPECT_THAT(message_of([&] { square(x); }),
              HasSubstr("was changed in place while it was packed"));
}

TEST(SavedTensorHooks, LetACopyDisregardLaterChanges) {
  const Tensor x = leaf({2}), w = constant({5});
  Tensor y;
  {
    const SavedTensorHooks hooks(
        [](const Tensor& t) -> Unpack { return [copy = clone_detached(t)] { return copy; }; });
    y = sum(x * w);
  }
  fill_inplace(w, 0);
  backward(y);
  EXPECT_THAT(values(x.grad()), ElementsAre(5));
}

TEST(SavedTensorHooks, AreForgottenWithAnUnusedGraph) {
  auto alive = std::make_shared<int>(0);
  {
    const Tensor x = leaf({2});
    const SavedTensorHooks hooks(
        [&](const Tensor& t) -> Unpack { return [t, alive] { return t; }; });
    const Tensor y = square(x);
    EXPECT_GT(alive.use_count(), 1);
  }
  EXPECT_EQ(alive.use_count(), 1);
}

}  // namespace
}  // namespace trireme
