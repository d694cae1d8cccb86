// What the environment and NcclOptions say about NCCL reaches it, field by field.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/support/environment_variable.h"
#include "tests/support/message_of.h"
#include "tests/support/nccl_ranks.h"

namespace trireme {
namespace {

using ::testing::HasSubstr;
using namespace testing;

/// A different value for each, so that none can stand in for another.
struct EverySetting {
  EnvironmentVariable min{"TRIREME_NCCL_MIN_CTAS", "2"}, max{"TRIREME_NCCL_MAX_CTAS", "9"},
      cluster{"TRIREME_NCCL_CLUSTER_SIZE", "4"}, traffic{"TRIREME_NCCL_TRAFFIC_CLASS", "105"},
      network{"TRIREME_NCCL_NETWORK", "IB"}, algorithm{"TRIREME_NCCL_ALGORITHM", "Tree"},
      protocol{"TRIREME_NCCL_PROTOCOL", "LL128"}, registers{"TRIREME_NCCL_REGISTER", "1"},
      shared{"TRIREME_ALLOW_SHARED_GPU", "1"}, abort{"TRIREME_NCCL_ABORT_SECONDS", "3"};
};

TEST(NcclOptionsOfSettings, HaveEveryVariableInItsField) {
  const EverySetting settings;
  const NcclOptions options = nccl_options_from_settings();
  EXPECT_EQ(options.min_ctas, 2);
  EXPECT_EQ(options.max_ctas, 9);
  EXPECT_EQ(options.cga_cluster_size, 4);
  EXPECT_EQ(options.traffic_class, 105);
  EXPECT_EQ(options.network, "IB");
  EXPECT_EQ(options.algorithm, "Tree");
  EXPECT_EQ(options.protocol, "LL128");
  EXPECT_TRUE(options.registered_buffers);
  EXPECT_TRUE(options.allow_shared_gpu);
  EXPECT_EQ(options.abort_timeout, std::chrono::seconds(3));
  EXPECT_EQ(describe(options),
            "min_ctas=2 max_ctas=9 cluster_size=4 traffic_class=105 network=IB algorithm=Tree "
            "protocol=LL128 registered_buffers=on shared_gpu=allowed");
}

TEST(NcclOptionsOfSettings, LeaveAllToNcclWhereNothingIsSet) {
  const NcclOptions options = nccl_options_from_settings(), none;
  EXPECT_EQ(describe(options), "defaults");
  EXPECT_EQ(options.abort_timeout, none.abort_timeout);
}

/// What NCCL gets in its last configuration, in `body` at the latest, with every option set.
void expect_every_option(const std::function<void(NcclCommunicator&)>& body) {
  FakeNccl nccl;
  NcclOptions options = quick_options();
  options.min_ctas = 2;
  options.max_ctas = 9;
  options.cga_cluster_size = 4;
  options.traffic_class = 105;
  options.network = "IB";
  options.name = "gradients";
  run_gpu_ranks(2, body, kPatient, options);
  const FakeNccl::Config config = nccl.config();
  EXPECT_EQ(config.values.blocking, 0);
  EXPECT_EQ(config.values.minCTAs, 2);
  EXPECT_EQ(config.values.maxCTAs, 9);
  EXPECT_EQ(config.values.cgaClusterSize, 4);
  EXPECT_EQ(config.values.trafficClass, 105);
  EXPECT_EQ(config.network, "IB");
  EXPECT_EQ(config.name, "gradients");
}

TEST(NcclOptions, OfACommunicatorReachIt) {
  expect_every_option([](NcclCommunicator&) {});
}

TEST(NcclOptions, OfACommunicatorReachItsSplits) {
  expect_every_option([](NcclCommunicator& comm) { comm.split(0, comm.rank()); });
}

TEST(NcclOptions, LeftOutStayUndefinedForNccl) {
  FakeNccl nccl;
  run_gpu_ranks(2, [](NcclCommunicator&) {});
  const ncclConfig_t none = NCCL_CONFIG_INITIALIZER;
  const FakeNccl::Config config = nccl.config();
  EXPECT_EQ(config.values.minCTAs, none.minCTAs);
  EXPECT_EQ(config.values.maxCTAs, none.maxCTAs);
  EXPECT_EQ(config.values.cgaClusterSize, none.cgaClusterSize);
  EXPECT_EQ(config.values.trafficClass, none.trafficClass);
  EXPECT_EQ(config.network, "");
  EXPECT_EQ(config.name, "");
}

TEST(NcclOptions, OfTheProcessReachNcclsEnvironment) {
  // Given back at the end, so that other tests find what was there.
  const EnvironmentVariable algorithm("NCCL_ALGO", "Tree"), protocol("NCCL_PROTO", "LL128");
  ::unsetenv("NCCL_ALGO");
  ::unsetenv("NCCL_PROTO");
  NcclOptions options;
  options.algorithm = "Tree";
  options.protocol = "LL128";
  export_nccl_environment(options, "run", 1);
  EXPECT_STREQ(std::getenv("NCCL_ALGO"), "Tree");
  EXPECT_STREQ(std::getenv("NCCL_PROTO"), "LL128");
  options.protocol = "Simple";
  EXPECT_THAT(message_of<InvalidArgument>([&] { export_nccl_environment(options, "run", 1); }),
              HasSubstr("NCCL_PROTO is 'LL128' but TRIREME_NCCL_PROTOCOL asks for 'Simple'"));
}

}  // namespace
}  // namespace trireme
