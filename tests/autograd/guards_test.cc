// NoGrad, EnableGrad, InferenceMode, and what in-place ops and detach promise.

#include "core/autograd/no_grad.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/autograd/backward.h"
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

TEST(Guards, NestAndEndInOrder) {
  const Tensor x = leaf({2});
  {
    const NoGrad outer;
    EXPECT_FALSE((x * x).requires_grad());
    {
      const EnableGrad record;
      EXPECT_TRUE((x * x).requires_grad());
      {
        const NoGrad inner;
        EXPECT_FALSE(is_recording());
      }
      EXPECT_TRUE(is_recording());
    }
    EXPECT_FALSE(is_recording());
  }
  EXPECT_TRUE(is_recording());
}

TEST(Guards, EndWithAnException) {
  try {
    const NoGrad no_grad;
    throw Error("out");
  } catch (const Error&) {
  }
  EXPECT_TRUE(is_recording());
}

TEST(InferenceMode, RecordsNothingWhateverIsInside) {
  const Tensor x = leaf({2});
  const InferenceMode inference;
  EXPECT_FALSE((x * x).requires_grad());
  const EnableGrad record;
  EXPECT_FALSE((x * x).requires_grad());
}

TEST(InferenceMode, ItsTensorsAreNeverPartOfABackward) {
  const Tensor three = constant({3});
  Tensor made;
  {
    const InferenceMode inference;
    made = three * 2.0;
    fill_inplace(made, 5);  // in place is free there
  }
  EXPECT_THAT(message_of([&] { made.set_requires_grad(); }), HasSubstr("under InferenceMode"));
  const Tensor x = leaf({2});
  EXPECT_THAT(message_of([&] { backward(sum(x * made)); }),
              HasSubstr("mul: a tensor of shape [1] that was made under InferenceMode cannot be "
                        "saved for backward; use a clone"));
  backward(sum(x + made));  // addition saves nothing
  EXPECT_THAT(values(x.grad()), ElementsAre(1));
  const Tensor copy = clone_detached(made);
  backward(sum(x * copy));
  EXPECT_THAT(values(x.grad()), ElementsAre(6));
  fill_inplace(made, 7);  // and so it is outside
}

TEST(InferenceMode, AViewOfAnOrdinaryTensorStaysOrdinary) {
  const Tensor w = constant({1, 2, 3, 4});
  Tensor view;
  {
    const InferenceMode inference;
    view = slice(w, 0, 1, 3);
  }
  const Tensor x = leaf({5, 6});
  backward(sum(x * view));
  EXPECT_THAT(values(x.grad()), ElementsAre(2, 3));
}

TEST(InPlace, IsRefusedOnWhatNeedsAGradient) {
  const Tensor x = leaf({1, 2});
  const Tensor y = x * 2.0;
  for (const Tensor& t : {x, y}) {
    for (const auto& change :
         std::vector<std::function<void()>>{[&] { fill_inplace(t, 0); },
                                            [&] {
                                              add_inplace(t, constant({1, 1}));
                                            },
                                            [&] { mul_inplace(t, 2); },
                                            [&] {
                                              copy_inplace(t, constant({1, 1}));
                                            }}) {
      EXPECT_THAT(message_of(change), HasSubstr("requires a gradient"));
    }
  }
  EXPECT_THAT(message_of([&] {
                add_inplace(constant({1, 1}), x);
              }),
              HasSubstr("would lose the gradient of its source"));
  const NoGrad no_grad;
  add_inplace(x, constant({1, 1}));
  EXPECT_THAT(values(x), ElementsAre(2, 3));
}

TEST(Detach, SharesStorageAndVersion) {
  const Tensor x = leaf({1, 2}), w = constant({3, 4});
  const Tensor d = w.detach();
  EXPECT_EQ(d.storage(), w.storage());
  const Tensor y = sum(x * w);
  fill_inplace(d, 0);
  EXPECT_EQ(w.version(), d.version());
  EXPECT_THAT(message_of([&] { backward(y); }), HasSubstr("changed in place"));
}

}  // namespace
}  // namespace trireme
