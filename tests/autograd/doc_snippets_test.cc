// The snippets of docs/autograd.md. What stands between two `[name]` lines is quoted there, word
// for word: SnippetsAreQuoted compares.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "core/trireme.h"
#include "tests/support/leaves.h"

namespace trireme {
namespace {

using testing::constant;
using testing::leaf;
using testing::values;

// [function]
/// y = min(exp(x), limit), and how many elements met the limit.
class CappedExp final : public Function {
 public:
  explicit CappedExp(double limit) : limit_(limit) {}  // what is no tensor is a member
  const char* name() const override { return "capped_exp"; }

  std::vector<Tensor> forward(FunctionContext& ctx, const std::vector<Tensor>& in) override {
    const Tensor y = clamp(exp(in[0]), 0, limit_);  // recording is off here
    const Tensor capped = equal(y, full({}, limit_, {y.dtype(), y.device()}));
    const Tensor count = sum(capped);
    ctx.save_for_backward({y, capped});
    ctx.mark_non_differentiable({count});
    return {y, count};
  }

  std::vector<Tensor> backward(FunctionContext& ctx, const std::vector<Tensor>& dy) override {
    const std::vector<Tensor> saved = ctx.saved_tensors();
    return {where(saved[1], zeros_like(dy[0]), dy[0] * saved[0])};
  }

 private:
  double limit_;
};
// [function]

TEST(DocSnippets, WorkedGraph) {
  // [graph]
  const Tensor x = from_vector<float>({1, 2}, {2}).set_requires_grad();
  const Tensor w = from_vector<float>({3, 4}, {2}).set_requires_grad();
  const Tensor h = x * w;  // {3, 8}
  const Tensor y = sum(h + tanh(h));
  backward(y);
  // x.grad() == w * (1 + (1 - tanh(h)^2))
  // [graph]
  EXPECT_EQ(graph_text(y),
            "5 sum f32[] -> 4\n"
            "4 add f32[2] -> 2 3\n"
            "3 tanh f32[2] -> 2\n"
            "2 mul f32[2] -> 0 1\n"
            "1 leaf f32[2]\n"
            "0 leaf f32[2]\n");
  EXPECT_NEAR(x.grad().to_vector<double>()[0], 3 * (2 - std::pow(std::tanh(3), 2)), 1e-5);
}

TEST(DocSnippets, Grad) {
  // [grad]
  const Tensor x = from_vector<float>({1, 2}, {2}).set_requires_grad();
  const Tensor loss = sum(x * x * x);
  const Tensor dx = grad({loss}, {x}, {.create_graph = true})[0];  // 3 x^2, with history
  backward(sum(square(dx)));                                       // a gradient penalty
  // x.grad() == 36 x^3
  // [grad]
  EXPECT_NEAR(x.grad().to_vector<double>()[1], 36 * 8, 1e-3);
}

TEST(DocSnippets, Guards) {
  const Tensor model_input = leaf({1, 2});
  // [guards]
  {
    const NoGrad no_grad;  // evaluation: nothing is recorded
    const Tensor score = exp(model_input);
    const EnableGrad record;  // except here
    const Tensor dx = grad({sum(square(model_input))}, {model_input})[0];
  }
  {
    const InferenceMode inference;  // results can never be part of a backward
    const Tensor score = exp(model_input);
  }
  // [guards]
}

TEST(DocSnippets, Hooks) {
  const Tensor x = leaf({1, 2});
  // [hooks]
  const Tensor h = x * 2.0;
  const HookHandle clip = register_hook(h, [](const Tensor& dh) { return clamp(dh, -1, 1); });
  retain_grad(h);
  backward(sum(h * 5.0));
  // h.grad() == {1, 1}, x.grad() == {2, 2}
  // [hooks]
  EXPECT_THAT(values(h.grad()), ::testing::ElementsAre(1, 1));
  EXPECT_THAT(values(x.grad()), ::testing::ElementsAre(2, 2));
}

TEST(DocSnippets, SavedTensors) {
  const Tensor x = leaf({1, 2});
  // [saved]
  Tensor loss;
  {
    const SavedTensorHooks narrow([](const Tensor& kept) -> SavedTensorHooks::Unpack {
      if (!is_floating(kept.dtype())) return [kept] { return kept; };
      return
          [small = cast(kept, DType::kBF16), dtype = kept.dtype()] { return cast(small, dtype); };
    });
    loss = sum(square(exp(x)));
  }
  backward(loss);  // from values that were kept in 16 bits
  // [saved]
  EXPECT_NEAR(x.grad().to_vector<double>()[0], 2 * std::exp(2), 0.2);
}

TEST(DocSnippets, Checkpoint) {
  const Tensor x = leaf({0.1, 0.2});
  const auto block = [](const Tensor& in) { return sin(exp(in)); };
  // [checkpoint]
  Tensor h = x;
  for (int i = 0; i < 4; ++i) {
    h = checkpoint([&](const std::vector<Tensor>& in) { return block(in[0]); }, {h});
  }
  backward(sum(h));
  // [checkpoint]
  Tensor plain = x.detach().set_requires_grad();
  backward(sum(block(block(block(block(plain))))));
  EXPECT_EQ(values(x.grad()), values(plain.grad()));
}

TEST(DocSnippets, FunctionIsUsed) {
  const Tensor x = leaf({1, 2});
  // [apply]
  const std::vector<Tensor> y = apply_function<CappedExp>({x}, 5.0);
  backward(sum(y[0]));  // x.grad() == {e, 0}, y[1] == 1
  // [apply]
  EXPECT_NEAR(x.grad().to_vector<double>()[0], std::exp(1), 1e-12);
  EXPECT_EQ(x.grad().to_vector<double>()[1], 0);
  EXPECT_EQ(y[1].item(), 1);
  EXPECT_FALSE(y[1].requires_grad());
  EXPECT_NO_THROW(gradgradcheck(
      [](const std::vector<Tensor>& in) { return apply_function<CappedExp>({in[0]}, 5.0)[0]; },
      {leaf({1, 0.5})}));
}

TEST(DocSnippets, Anomaly) {
  const Tensor x = leaf({0});
  // [anomaly]
  try {
    const AnomalyMode anomaly;
    backward(sum(sqrt(x) * 0.0));  // 0 times infinity
  } catch (const Error& error) {
    log_debug(error.what());  // names sqrt and who called it
  }
  // [anomaly]
}

TEST(DocSnippets, Functional) {
  // [functional]
  const Tensor x = from_vector<double>({2, 3}, {2});
  const Tensor j = jacobian([](const Tensor& v) { return v * v; }, x);           // diag(2 x)
  const Tensor h = hessian([](const Tensor& v) { return sum(v * v * v); }, x);   // diag(6 x)
  const Vjp r = vjp([](const auto& in) { return sum(in[0] * in[1]); }, {x, x});  // x, x
  // [functional]
  EXPECT_THAT(values(j), ::testing::ElementsAre(4, 0, 0, 6));
  EXPECT_THAT(values(h), ::testing::ElementsAre(12, 0, 0, 18));
  EXPECT_THAT(values(r.gradients[0]), ::testing::ElementsAre(2, 3));
}

std::string read(const std::string& path) {
  std::ifstream in(std::string(TRIREME_SOURCE_DIR) + "/" + path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

/// Lines of `text` without their common indentation.
std::string dedented(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> lines;
  size_t indent = std::string::npos;
  for (std::string line; std::getline(in, line);) {
    lines.push_back(line);
    if (!line.empty()) indent = std::min(indent, line.find_first_not_of(' '));
  }
  std::string result;
  for (const std::string& line : lines)
    result += (line.empty() ? line : line.substr(indent)) + "\n";
  return result;
}

TEST(DocSnippets, SnippetsAreQuoted) {
  const std::string source = read("tests/autograd/doc_snippets_test.cc");
  const std::string doc = read("docs/autograd.md");
  if (source.empty()) GTEST_SKIP() << "the sources are not on this machine";
  for (const char* name : {"graph", "grad", "guards", "hooks", "saved", "checkpoint", "function",
                           "apply", "anomaly", "functional"}) {
    const std::string mark = std::string("// [") + name + "]\n";
    const size_t begin = source.find(mark) + mark.size();
    const size_t end = source.rfind('\n', source.find(mark, begin)) + 1;
    const std::string snippet = dedented(source.substr(begin, end - begin));
    EXPECT_NE(doc.find("```cpp\n" + snippet + "```"), std::string::npos)
        << name << " should stand in docs/autograd.md as\n"
        << snippet;
  }
}

}  // namespace
}  // namespace trireme
