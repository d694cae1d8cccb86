#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <numeric>

#include "core/base/device.h"
#include "core/base/dtype.h"
#include "core/base/parallel_for.h"
#include "core/base/philox.h"
#include "core/base/ref.h"
#include "core/base/settings.h"
#include "core/base/shape.h"
#include "tests/support/message_of.h"

namespace trireme {
namespace {

using ::testing::HasSubstr;
using testing::message_of;

TEST(Shape, BroadcastsAsNumPyDoes) {
  EXPECT_EQ(broadcast_shapes("add", {2, 1, 3}, {4, 1}), Shape({2, 4, 3}));
  EXPECT_EQ(broadcast_shapes("add", {}, {5}), Shape({5}));
  EXPECT_EQ(broadcast_shapes("add", {1}, {0}), Shape({0}));
  EXPECT_EQ(message_of<Error>([] {
              broadcast_shapes("add", {2, 3}, {4});
            }),
            "add: shapes do not broadcast, lhs is [2, 3] but rhs is [4]");
  EXPECT_EQ(broadcast_strides({4, 1}, {1, 1}, {2, 4, 3}), Strides({0, 1, 0}));
}

TEST(Shape, KnowsWhatIsContiguous) {
  EXPECT_EQ(contiguous_strides({2, 3, 4}), Strides({12, 4, 1}));
  EXPECT_TRUE(is_contiguous({2, 1, 3}, {3, 77, 1})) << "the stride of extent 1 does not matter";
  EXPECT_FALSE(is_contiguous({3, 2}, {1, 3}));
  EXPECT_TRUE(is_contiguous({0, 4}, {9, 9})) << "nothing to lie anywhere";
}

TEST(Shape, RefusesTooManyDimensions) {
  EXPECT_THAT(message_of<Error>([] {
                Shape({1, 1, 1, 1, 1, 1, 1, 1, 1});
              }),
              HasSubstr("at most 8 dimensions, got 9"));
}

TEST(Device, ParsesNamesAndRefusesOthers) {
  EXPECT_EQ(parse_device("cpu"), Device{});
  EXPECT_EQ(parse_device("cuda:3"), (Device{DeviceType::kCuda, 3}));
  EXPECT_EQ(message_of<Error>([] { parse_device("gpu"); }),
            "device: must be cpu, cuda or cuda:N, got 'gpu'");
  EXPECT_THROW(parse_device("cuda:"), InvalidArgument);
  EXPECT_THROW(parse_device("cuda:-1"), InvalidArgument);
}

TEST(DType, NamesAreReversible) {
  for (DType d : {DType::kF64, DType::kF32, DType::kI64, DType::kI32, DType::kU8, DType::kBool}) {
    EXPECT_EQ(parse_dtype(name_of(d)), d);
  }
  EXPECT_THROW(parse_dtype("float"), InvalidArgument);
}

// First known-answer vector of the authors' reference implementation: counter 0, key 0.
TEST(Philox, GivesTheReferenceNumbers) {
  EXPECT_EQ(philox(0, 0),
            (std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
}

TEST(Philox, GeneratorGoesOnWhereItsStateSays) {
  Generator a(5);
  for (int i = 0; i < 10; ++i) a.next_u64();
  Generator b(5);
  b.set_offset(a.offset());
  EXPECT_EQ(a.next_u64(), b.next_u64());
  for (int i = 0; i < 1000; ++i) {
    const double u = a.next_uniform();
    EXPECT_TRUE(u >= 0 && u < 1);
    EXPECT_LT(a.next_below(7), 7u);
  }
}

TEST(Settings, ReadsTheTableOnly) {
  ::setenv("TRIREME_BUCKET_MB", "12", 1);
  EXPECT_EQ(get_setting_int("TRIREME_BUCKET_MB"), 12);
  ::setenv("TRIREME_BUCKET_MB", "many", 1);
  EXPECT_EQ(message_of<Error>([] { get_setting_int("TRIREME_BUCKET_MB"); }),
            "settings: TRIREME_BUCKET_MB must be a whole number, got 'many'");
  ::setenv("TRIREME_BUCKET_MB", "-5", 1);
  EXPECT_EQ(message_of<Error>([] { get_setting_int("TRIREME_BUCKET_MB"); }),
            "settings: TRIREME_BUCKET_MB must be from 1 to 1048576, got -5");
  ::setenv("TRIREME_METRICS", "on", 1);
  EXPECT_EQ(message_of<Error>([] { get_setting("TRIREME_METRICS"); }),
            "settings: TRIREME_METRICS must be one of auto, launcher, off, got 'on'");
  ::unsetenv("TRIREME_METRICS");
  ::unsetenv("TRIREME_BUCKET_MB");
  EXPECT_EQ(get_setting_int("TRIREME_BUCKET_MB"), 25);
  EXPECT_THROW(get_setting("TRIREME_NO_SUCH"), InvalidArgument);
}

TEST(ParallelFor, CoversTheRangeOnce) {
  for (int64_t count : {0, 1, 7, 1000}) {
    std::vector<int> hits(static_cast<size_t>(count));
    parallel_for(count, 10, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) ++hits[static_cast<size_t>(i)];
    });
    EXPECT_EQ(std::count(hits.begin(), hits.end(), 1), count);
  }
}

struct Counted : RefCounted {
  explicit Counted(int& alive) : alive_(alive) { ++alive_; }
  ~Counted() override { --alive_; }
  int& alive_;
};

TEST(Ref, DeletesWithTheLastHandle) {
  int alive = 0;
  Ref<Counted> a = make_ref<Counted>(alive);
  {
    Ref<RefCounted> b = a;
    Ref<Counted> c = std::move(a);
    EXPECT_FALSE(a);
    EXPECT_FALSE(c->is_sole_owner());
  }
  EXPECT_EQ(alive, 0);
}

}  // namespace
}  // namespace trireme
