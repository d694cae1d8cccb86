#include "core/autograd/anomaly.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/autograd/attach.h"
#include "core/autograd/backward.h"
#include "core/ops/ops.h"
#include "tests/support/leaves.h"
#include "tests/support/message_of.h"

namespace trireme {

// Not in an unnamed namespace: the name of this caller is looked for.
[[gnu::noinline]] Tensor a_function_that_takes_roots(const Tensor& x) {
  const Tensor y = sqrt(x);
  return y;
}

namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::leaf;
using testing::message_of;
using ::testing::Not;

// d sqrt(0) / dx = infinity, times a dy of 0.
Tensor zero_times_infinity(const Tensor& x) { return sum(a_function_that_takes_roots(x) * 0.0); }

TEST(Anomaly, SaysWhoCalledTheOpWhoseGradientIsNaN) {
  const Tensor x = leaf({0, 1});
  const AnomalyMode anomaly;
  EXPECT_THAT(
      message_of<Error>([&] { backward(zero_times_infinity(x)); }),
      AllOf(HasSubstr("backward: sqrt gave NaN in the gradient of its operand 0, f64[2]"),
            HasSubstr("of its thread, was called from"),
            HasSubstr("\n    trireme::sqrt()\n    trireme::a_function_that_takes_roots()\n")));
}

TEST(Anomaly, WithoutItNaNGoesThrough) {
  const Tensor x = leaf({0, 1});
  backward(zero_times_infinity(x));
  EXPECT_TRUE(std::isnan(x.grad().to_vector<double>()[0]));
}

TEST(Anomaly, MayLeaveNaNAlone) {
  const Tensor x = leaf({0, 1});
  const AnomalyMode anomaly(AnomalyMode::CheckNan::kNo);
  backward(zero_times_infinity(x));
  EXPECT_TRUE(std::isnan(x.grad().to_vector<double>()[0]));
}

TEST(Anomaly, OfAnOpThatWasRecordedBeforeKnowsItsNameOnly) {
  const Tensor x = leaf({0, 1});
  const Tensor y = zero_times_infinity(x);
  const AnomalyMode anomaly;
  EXPECT_THAT(message_of<Error>([&] { backward(y); }),
              HasSubstr("sqrt was recorded outside of AnomalyMode: its call is not known"));
}

TEST(Anomaly, LogsTheCallOfAnOpWhoseBackwardThrows) {
  const Tensor x = leaf({4, 1});
  const auto run = [&](bool watch) {
    std::optional<AnomalyMode> anomaly;
    if (watch) anomaly.emplace();
    const Tensor w = full({2}, 3, {DType::kF64, x.device()});
    const Tensor y = sum(a_function_that_takes_roots(x) * w);
    const Tensor z =
        attach("thrower", y.detach(),
               wrt(y, [](const Tensor&) -> Tensor { throw DataError("from the formula"); }));
    ::testing::internal::CaptureStderr();
    EXPECT_THROW(backward(z), DataError) << "the error itself goes through";
    return ::testing::internal::GetCapturedStderr();
  };
  EXPECT_THAT(run(true), AllOf(HasSubstr("backward of thrower failed: from the formula"),
                               HasSubstr("thrower, op "), HasSubstr("was called from")));
  EXPECT_THAT(run(false), Not(HasSubstr("thrower")));
}

}  // namespace
}  // namespace trireme
