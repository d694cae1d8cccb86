// The tree obeys its layers, and the check notices when it would not; documents are complete.

#include "tests/layering/layering_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "core/base/error.h"
#include "core/base/settings.h"

namespace trireme::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(Layering, TheTreeObeysItsLayers) {
  const SourceTree tree = read_source_tree(TRIREME_SOURCE_DIR);
  ASSERT_TRUE(tree.contains("core/base/error.h")) << "no sources below " TRIREME_SOURCE_DIR;
  EXPECT_THAT(find_source_violations(tree), IsEmpty());
}

TEST(Layering, LightProgramsReachNoTensorCode) {
  EXPECT_THAT(find_light_target_violations(read_source_tree(TRIREME_SOURCE_DIR)), IsEmpty());
}

TEST(Documents, NameEveryVariable) {
  std::string documents;
  for (const auto& file :
       std::filesystem::directory_iterator(std::filesystem::path(TRIREME_SOURCE_DIR) / "docs")) {
    std::ifstream text(file.path());
    documents.append(std::istreambuf_iterator<char>(text), {});
  }
  for (const Setting& setting : all_settings()) {
    const bool is_named = documents.find(concat('`', setting.name, '`')) != std::string::npos ||
                          documents.find(concat('`', setting.name, '=')) != std::string::npos;
    EXPECT_TRUE(is_named) << setting.name << " stands in no file of docs/";
  }
}

/// Violations of a tree in which `path` includes `include`, where every header exists.
std::vector<std::string> violations_of(const std::string& path, const std::string& include) {
  SourceTree tree;
  for (const char* header :
       {"core/base/a.h", "core/metrics/a.h", "kernels/a.h", "core/tensor/a.h", "core/autograd/a.h",
        "core/ops/a.h", "core/nn/a.h", "core/optim/a.h", "core/trireme.h", "distributed/a.h",
        "launcher/agent/a.h", "tests/support/a.h"}) {
    tree[header] = "#pragma once\n";
  }
  tree[path] = "// A file.\n\n#include " + include + "\n";
  return find_source_violations(tree);
}

TEST(LayeringRules, LowerLayersMayNotIncludeHigherOnes) {
  EXPECT_THAT(violations_of("core/base/x.cc", "\"kernels/a.h\""),
              ElementsAre("core/base/x.cc:3: core/base may not include \"kernels/a.h\""));
  EXPECT_THAT(violations_of("core/ops/x.cc", "\"core/nn/a.h\""),
              ElementsAre("core/ops/x.cc:3: core/ops may not include \"core/nn/a.h\""));
  EXPECT_THAT(violations_of("core/metrics/x.cc", "\"core/tensor/a.h\""),
              ElementsAre("core/metrics/x.cc:3: core/metrics may not include \"core/tensor/a.h\""));
  EXPECT_THAT(violations_of("distributed/x.h", "\"launcher/agent/a.h\""),
              ElementsAre("distributed/x.h:3: distributed may not include \"launcher/agent/a.h\""));
  EXPECT_THAT(violations_of("kernels/x.h", "\"tests/support/a.h\""),
              ElementsAre("kernels/x.h:3: kernels may not include \"tests/support/a.h\""));
}

TEST(LayeringRules, NeighboursThatDoNotKnowEachOther) {
  EXPECT_THAT(violations_of("core/optim/x.cc", "\"core/nn/a.h\""),
              ElementsAre("core/optim/x.cc:3: core/optim may not include \"core/nn/a.h\""));
}

TEST(LayeringRules, HigherLayersMayIncludeLowerOnes) {
  EXPECT_THAT(violations_of("core/ops/x.cc", "\"kernels/a.h\""), IsEmpty());
  EXPECT_THAT(violations_of("launcher/agent/x.cc", "\"distributed/a.h\""), IsEmpty());
  EXPECT_THAT(violations_of("tests/ops/x.cc", "\"launcher/agent/a.h\""), IsEmpty());
  EXPECT_THAT(violations_of("core/nn/x.cc", "\"core/base/config.h\""), IsEmpty());
}

TEST(LayeringRules, IncludesStartAtTheRoot) {
  EXPECT_THAT(violations_of("core/ops/x.cc", "\"a.h\""),
              ElementsAre("core/ops/x.cc:3: no file \"a.h\" below the repository's root"));
}

TEST(LayeringRules, TheUmbrellaIsForUsers) {
  EXPECT_THAT(violations_of("distributed/x.cc", "\"core/trireme.h\""),
              ElementsAre("distributed/x.cc:3: core/trireme.h is for users, include what is used"));
  EXPECT_THAT(violations_of("tests/nn/x.cc", "\"core/trireme.h\""), IsEmpty());
}

TEST(LayeringRules, ForeignHeadersHaveTheirFiles) {
  EXPECT_THAT(violations_of("distributed/x.cc", "<mpi.h>"),
              ElementsAre("distributed/x.cc:3: only mpi_* and *_mpi may include <mpi.h>"));
  EXPECT_THAT(violations_of("distributed/mpi_x.cc", "<mpi.h>"), IsEmpty());
  EXPECT_THAT(violations_of("benchmarks/x_mpi.cc", "<mpi.h>"), IsEmpty());
  EXPECT_THAT(violations_of("core/data/x.cc", "<jpeglib.h>"),
              ElementsAre("core/data/x.cc:3: only jpeg_* may include <jpeglib.h>"));
  EXPECT_THAT(violations_of("core/data/png_x.cc", "<png.h>"), IsEmpty());
  EXPECT_THAT(violations_of("distributed/x.h", "<nccl.h>"),
              ElementsAre("distributed/x.h:3: only nccl_* may include <nccl.h>"));
  EXPECT_THAT(violations_of("core/base/x.h", "<cuda_runtime.h>"),
              ElementsAre("core/base/x.h:3: only core/cuda/, .cu, .cuh, *_cuda.*, cublas_*, "
                          "cudnn_*, nccl_* may include CUDA's <cuda_runtime.h>"));
  EXPECT_THAT(violations_of("kernels/x.cu", "<cub/cub.cuh>"), IsEmpty());
  EXPECT_THAT(violations_of("core/tensor/x_cuda.cc", "<cuda_runtime.h>"), IsEmpty());
}

TEST(LayeringRules, FilesStayShort) {
  std::string text;
  for (int i = 0; i < 400; ++i) text += "\n";
  EXPECT_THAT(find_source_violations({{"core/ops/x.cc", text}}), IsEmpty());
  EXPECT_THAT(find_source_violations({{"core/ops/x.cc", text + "\n"}}),
              ElementsAre("core/ops/x.cc:401: longer than 400 lines, split it by responsibility"));
}

SourceTree small_tree() {
  return {{"core/CMakeLists.txt",
           "trireme_library(trireme_base LINK Threads::Threads)\n"
           "target_sources(trireme_base PRIVATE base/a.cc)\n"
           "trireme_library(trireme_metrics LINK trireme_base)\n"
           "trireme_library(trireme_core LINK trireme_base)\n"
           "target_sources(trireme_core PRIVATE tensor/tensor.cc)\n"},
          {"distributed/CMakeLists.txt",
           "trireme_library(trireme_rendezvous LINK trireme_base)\n"
           "target_sources(trireme_rendezvous PRIVATE env.cc)\n"
           "trireme_library(trireme_distributed LINK trireme_core)\n"
           "target_sources(trireme_distributed PRIVATE ddp.cc)\n"},
          {"launcher/CMakeLists.txt",
           "trireme_program(trireme\n  SOURCES main.cc\n  LINK trireme_rendezvous)\n"},
          {"core/base/a.h", ""},
          {"core/tensor/tensor.h", ""},
          {"distributed/ddp.h", "#include \"core/base/a.h\"\n"},
          {"distributed/env.h", "#include \"core/base/a.h\"\n"},
          {"distributed/env.cc", "#include \"distributed/env.h\"\n"},
          {"launcher/main.cc", "#include \"distributed/env.h\"\n"}};
}

TEST(LightTargets, MayUseBaseMetricsAndRendezvous) {
  EXPECT_THAT(find_light_target_violations(small_tree()), IsEmpty());
}

TEST(LightTargets, MayNotReachHeavyHeadersThroughOthers) {
  SourceTree tree = small_tree();
  tree["distributed/env.h"] = "#include \"core/tensor/tensor.h\"\n";
  EXPECT_THAT(find_light_target_violations(tree),
              ElementsAre("trireme_rendezvous: reaches core/tensor/tensor.h",
                          "trireme: reaches core/tensor/tensor.h"));
}

TEST(LightTargets, MayNotReachHeadersOfHeavyTargets) {
  SourceTree tree = small_tree();
  tree["launcher/main.cc"] = "#include \"distributed/ddp.h\"\n";
  EXPECT_THAT(find_light_target_violations(tree),
              ElementsAre("trireme: reaches distributed/ddp.h"));
}

TEST(LightTargets, MayNotLinkHeavyTargets) {
  SourceTree tree = small_tree();
  tree["distributed/CMakeLists.txt"] += "target_link_libraries(trireme_rendezvous MPI::MPI_C)\n";
  EXPECT_THAT(find_light_target_violations(tree),
              ElementsAre("trireme_rendezvous: links MPI::MPI_C", "trireme: links MPI::MPI_C"));
}

TEST(LightTargets, MustExist) {
  SourceTree tree = small_tree();
  tree["launcher/CMakeLists.txt"] = "";
  EXPECT_THAT(find_light_target_violations(tree),
              ElementsAre("trireme: no CMakeLists.txt defines it"));
}

}  // namespace
}  // namespace trireme::testing
