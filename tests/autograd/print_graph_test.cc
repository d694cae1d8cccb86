#include "core/autograd/print_graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/autograd/attach.h"
#include "core/autograd/backward.h"
#include "core/ops/ops.h"
#include "tests/support/leaves.h"

namespace trireme {
namespace {

using testing::constant;
using ::testing::HasSubstr;
using testing::leaf;

TEST(GradFnName, IsTheOpOfAResult) {
  const Tensor x = leaf({1, 2});
  EXPECT_EQ((x * x).grad_fn_name(), "mul");
  EXPECT_EQ(softmax(x).grad_fn_name(), "softmax");
  EXPECT_EQ(x.grad_fn_name(), "") << "a leaf";
  EXPECT_EQ((constant({1}) * 2.0).grad_fn_name(), "") << "no history";
}

TEST(PrintGraph, NumbersOpsInTheOrderInWhichTheyRan) {
  const Tensor x = leaf({1, 2}), w = leaf({3, 4});
  const Tensor h = x * w;
  const Tensor y = sum(h + tanh(h) * constant({5, 6}));
  EXPECT_EQ(graph_text(y),
            "6 sum f64[] -> 5\n"
            "5 add f64[2] -> 2 4\n"
            "4 mul f64[2] -> 3\n"
            "3 tanh f64[2] -> 2\n"
            "2 mul f64[2] -> 0 1\n"
            "1 leaf f64[2]\n"
            "0 leaf f64[2]\n");
  EXPECT_EQ(graph_text(x), "0 leaf f64[2]\n");
  EXPECT_EQ(graph_text(x.detach()), "");
}

TEST(PrintGraph, WritesGraphviz) {
  const Tensor x = leaf({1, 2});
  EXPECT_EQ(graph_dot(exp(x)),
            "digraph autograd {\n"
            "  n1 [label=\"exp\\nf64[2]\"];\n"
            "  n1 -> n0;\n"
            "  n0 [label=\"leaf\\nf64[2]\", shape=box];\n"
            "}\n");
}

TEST(PrintGraph, ShowsTheGraphOfAGradient) {
  const Tensor x = leaf({2});
  const Tensor dx = grad({sum(exp(x))}, {x}, {.create_graph = true})[0];
  EXPECT_THAT(graph_text(dx), HasSubstr("exp f64[1]"));
}

TEST(PrintGraph, OfALongChainDoesNotRecurse) {
  const Tensor x = leaf({1});
  Tensor y = x;
  constexpr int kOps = 300'000;
  for (int i = 0; i < kOps; ++i) y = y + 1.0;
  const std::string text = graph_text(y);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), kOps + 1);
}

}  // namespace
}  // namespace trireme
