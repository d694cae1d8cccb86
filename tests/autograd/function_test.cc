#include "core/autograd/function.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/autograd/backward.h"
#include "core/autograd/gradcheck.h"
#include "core/autograd/no_grad.h"
#include "core/autograd/print_graph.h"
#include "core/autograd/saved_tensor_hooks.h"
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
using Tensors = std::vector<Tensor>;

/// A Function of two lambdas.
class Lambdas final : public Function {
 public:
  using Step = std::function<Tensors(FunctionContext&, const Tensors&)>;
  Lambdas(Step forward, Step backward, bool twice = true)
      : forward_(std::move(forward)), backward_(std::move(backward)), twice_(twice) {}
  const char* name() const override { return "lambdas"; }
  Tensors forward(FunctionContext& ctx, const Tensors& in) override { return forward_(ctx, in); }
  Tensors backward(FunctionContext& ctx, const Tensors& dy) override { return backward_(ctx, dy); }
  bool is_differentiable() const override { return twice_; }

 private:
  Step forward_, backward_;
  bool twice_;
};

Tensors nothing(FunctionContext&, const Tensors&) { return {}; }
Tensors pass_on(FunctionContext&, const Tensors& dy) { return dy; }

/// a * b and a / b, by hand; keeps one result.
class ProductAndQuotient final : public Function {
 public:
  const char* name() const override { return "product_and_quotient"; }
  Tensors forward(FunctionContext& ctx, const Tensors& in) override {
    const Tensor product = in[0] * in[1], quotient = in[0] / in[1];
    ctx.save_for_backward({in[0], in[1], quotient});
    return {product, quotient};
  }
  Tensors backward(FunctionContext& ctx, const Tensors& dy) override {
    const Tensors kept = ctx.saved_tensors();
    const Tensor &a = kept[0], &b = kept[1], &quotient = kept[2];
    return {dy[0] * b + dy[1] / b, dy[0] * a - dy[1] * quotient / b};
  }
};

TEST(Function, SeveralResultsGiveOneGradientEach) {
  const Tensor a = leaf({6}), b = leaf({2});
  const Tensors y = apply_function<ProductAndQuotient>({a, b});
  EXPECT_THAT(values(y[0]), ElementsAre(12));
  EXPECT_THAT(values(y[1]), ElementsAre(3));
  EXPECT_EQ(y[1].grad_fn_name(), "product_and_quotient");
  backward(sum(y[0] * 10.0 + y[1]));
  EXPECT_THAT(values(a.grad()), ElementsAre(20.5));
  EXPECT_THAT(values(b.grad()), ElementsAre(60 - 1.5));
}

TEST(Function, AResultThatIsNotUsedCountsAsZero) {
  const Tensor a = leaf({6}), b = leaf({2});
  backward(sum(apply_function<ProductAndQuotient>({a, b})[1]));
  EXPECT_THAT(values(a.grad()), ElementsAre(0.5));
}

TEST(Function, PassesGradcheckAndGradgradcheck) {
  const Tensor a = leaf({1.5, -2}), b = leaf({2, 0.75});
  const auto fn = [](const Tensors& in) {
    const Tensors y = apply_function<ProductAndQuotient>({in[0], in[1]});
    return y[0] * y[1] + y[1];
  };
  EXPECT_NO_THROW(gradcheck(fn, {a, b}));
  EXPECT_NO_THROW(gradgradcheck(fn, {a, b}));
}

TEST(Function, MayBeDifferentiableOnce) {
  const Tensor x = leaf({2});
  const Tensor y = apply_function<Lambdas>(
      {x}, [](FunctionContext&, const Tensors& in) { return Tensors{in[0] * 3.0}; },
      [](FunctionContext&, const Tensors& dy) {
        EXPECT_FALSE(is_recording());
        return Tensors{dy[0] * 3.0};
      },
      false)[0];
  const Tensor first = grad({sum(y * y)}, {x}, {.create_graph = true})[0];
  EXPECT_THAT(message_of([&] { grad({first}, {x}); }),
              HasSubstr("lambdas: its gradient cannot be differentiated again"));
}

TEST(Function, SeesUndefinedGradientsIfItAsks) {
  const Tensor x = leaf({2});
  std::vector<bool> defined;
  const auto two = [](bool materialize) {
    return [materialize](FunctionContext& ctx, const Tensors& in) {
      ctx.set_materialize_gradients(materialize);
      return Tensors{in[0] * 2.0, in[0] * 3.0};
    };
  };
  const auto look = [&](FunctionContext&, const Tensors& dy) {
    for (const Tensor& d : dy) defined.push_back(d.defined());
    return Tensors{Tensor()};
  };
  backward(sum(apply_function<Lambdas>({x}, two(false), look)[1]));
  backward(sum(apply_function<Lambdas>({x}, two(true), look)[1]));
  EXPECT_THAT(defined, ElementsAre(false, true, true, true));
  EXPECT_FALSE(x.grad().defined()) << "an undefined gradient stands for zero";
}

TEST(Function, NonDifferentiableAndIntegerResultsNeedNoGradient) {
  const Tensor x = leaf({2, 1});
  const Tensors y = apply_function<Lambdas>(
      {x},
      [](FunctionContext& ctx, const Tensors& in) {
        const Tensor rounded = in[0] * 0.0;
        ctx.mark_non_differentiable({rounded});
        return Tensors{in[0] * 2.0, rounded, argmax(in[0], 0)};
      },
      [](FunctionContext&, const Tensors& dy) {
        EXPECT_EQ(dy.size(), 3u);
        return Tensors{dy[0] * 2.0};
      });
  EXPECT_TRUE(y[0].requires_grad());
  EXPECT_FALSE(y[1].requires_grad());
  EXPECT_FALSE(y[2].requires_grad());
  backward(sum(y[0]));
  EXPECT_THAT(values(x.grad()), ElementsAre(2, 2));
}

TEST(Function, KnowsWhichGradientsAreWanted) {
  const Tensor x = leaf({2}), c = constant({3});
  std::vector<bool> wanted;
  const auto forward = [&](FunctionContext& ctx, const Tensors& in) {
    wanted = {ctx.needs_gradient(0), ctx.needs_gradient(1), ctx.needs_gradient(2)};
    return Tensors{in[0] * in[1]};
  };
  const auto backward_step = [&](FunctionContext& ctx, const Tensors& dy) {
    EXPECT_FALSE(ctx.needs_gradient(1));
    return Tensors{dy[0] * c, Tensor(), Tensor()};
  };
  backward(sum(apply_function<Lambdas>({x, c, Tensor()}, forward, backward_step)[0]));
  EXPECT_THAT(wanted, ElementsAre(true, false, false));
  EXPECT_THAT(values(x.grad()), ElementsAre(3));
  const NoGrad no_grad;
  EXPECT_FALSE(apply_function<Lambdas>({x, c, Tensor()}, forward, nothing)[0].requires_grad());
  EXPECT_THAT(wanted, ElementsAre(false, false, false));
}

TEST(Function, ADirtyInputGetsANewHistory) {
  const Tensor x = leaf({2});
  const Tensor h = x + 1.0;
  const auto double_it = [](FunctionContext& ctx, const Tensors& in) {
    mul_inplace(in[0], 2);
    ctx.mark_dirty({in[0]});
    return in;
  };
  const auto back = [](FunctionContext&, const Tensors& dy) { return Tensors{dy[0] * 2.0}; };
  const Tensor y = apply_function<Lambdas>({h}, double_it, back)[0];
  EXPECT_TRUE(y.is_same(h));
  EXPECT_EQ(h.grad_fn_name(), "lambdas") << "for all who hold it";
  EXPECT_THAT(values(h), ElementsAre(6));
  backward(sum(h * 5.0));
  EXPECT_THAT(values(x.grad()), ElementsAre(10));
}

TEST(Function, DirtyInputsAreRefusedWhereHistoryWouldBeWrong) {
  const auto touch = [](FunctionContext& ctx, const Tensors& in) {
    ctx.mark_dirty({in[0]});
    return in;
  };
  const Tensor x = leaf({2, 3});
  EXPECT_THAT(message_of([&] { apply_function<Lambdas>({x}, touch, pass_on); }),
              HasSubstr("lambdas: input 0, f64[2], is a leaf that requires a gradient and cannot"));
  const Tensor h = x * 1.0;
  const Tensor view = slice(h, 0, 0, 1);
  EXPECT_THAT(message_of([&] { apply_function<Lambdas>({view}, touch, pass_on); }),
              HasSubstr("lambdas: input 0, f64[1], shares its memory"));
  const auto not_returned = [](FunctionContext& ctx, const Tensors& in) {
    ctx.mark_dirty({in[0]});
    return Tensors{in[0] * 1.0};
  };
  EXPECT_THAT(message_of([&] { apply_function<Lambdas>({constant({1})}, not_returned, pass_on); }),
              HasSubstr("lambdas: input 0, f64[1], is marked dirty and must be returned"));
  const auto another = [](FunctionContext& ctx, const Tensors& in) {
    const Tensor y = in[0] * 1.0;
    ctx.mark_dirty({y});
    return Tensors{y};
  };
  EXPECT_THAT(message_of([&] { apply_function<Lambdas>({x}, another, pass_on); }),
              HasSubstr("lambdas: only inputs can be marked dirty, got another tensor, f64[2]"));
}

TEST(Function, AChangeOfADirtyInputIsNoticedByWhoKeptIt) {
  const Tensor x = leaf({2});
  const Tensor h = x * 1.0;
  const Tensor kept = sum(square(h));  // keeps h
  apply_function<Lambdas>(
      {h},
      [](FunctionContext& ctx, const Tensors& in) {
        mul_inplace(in[0], 2);
        ctx.mark_dirty({in[0]});
        return in;
      },
      pass_on);
  EXPECT_THAT(message_of([&] { backward(kept); }),
              HasSubstr("square: a tensor of shape [1] saved"));
}

TEST(Function, AnInputThatIsReturnedComesOutAsAView) {
  const Tensor x = leaf({2});
  const Tensor y = apply_function<Lambdas>(
      {x}, [](FunctionContext&, const Tensors& in) { return in; }, pass_on)[0];
  EXPECT_FALSE(y.is_same(x));
  EXPECT_EQ(y.storage(), x.storage());
  EXPECT_TRUE(x.is_leaf());
  backward(sum(y * 3.0));
  EXPECT_THAT(values(x.grad()), ElementsAre(3));
}

TEST(Function, ErrorsNameIt) {
  const Tensor x = leaf({2});
  const auto forward = [](FunctionContext&, const Tensors& in) { return Tensors{in[0] * 2.0}; };
  EXPECT_THAT(message_of([&] { backward(sum(apply_function<Lambdas>({x}, forward, nothing)[0])); }),
              HasSubstr("lambdas: backward must give one gradient per input, 1, got 0"));
  EXPECT_THAT(
      message_of([&] {
        backward(sum(apply_function<Lambdas>({x}, forward, [](FunctionContext&, const Tensors&) {
          return Tensors{constant({1, 2})};
        })[0]));
      }),
      HasSubstr("op lambdas gave a gradient f64[2]"));
  EXPECT_THAT(message_of([&] { apply_function<Lambdas>({x}, nothing, nothing); }),
              HasSubstr("lambdas: forward returned no result"));
  const Tensors y = apply_function<ProductAndQuotient>({x, leaf({3})});
  backward(sum(y[0]));
  EXPECT_THAT(message_of([&] { backward(sum(y[0])); }), HasSubstr("pass retain_graph"));
}

TEST(Function, KeepsNothingAliveBeyondItsGraph) {
  auto token = std::make_shared<int>(0);
  {
    const Tensor x = leaf({2});
    const Tensor y = apply_function<Lambdas>(
        {x},
        [token](FunctionContext& ctx, const Tensors& in) {
          const Tensor result = exp(in[0]);
          ctx.save_for_backward({result});
          ctx.mark_non_differentiable({});
          return Tensors{result};
        },
        pass_on)[0];
    EXPECT_GT(token.use_count(), 1);
  }
  EXPECT_EQ(token.use_count(), 1) << "a saved result must not make a cycle";
}

TEST(Function, SavedTensorsObeyVersionsAndHooks) {
  const Tensor a = leaf({6}), b = constant({2});
  const Tensors y = apply_function<ProductAndQuotient>({a, b});
  fill_inplace(b, 1);
  EXPECT_THAT(
      message_of([&] { backward(sum(y[0])); }),
      HasSubstr("product_and_quotient: a tensor of shape [1] saved for backward was changed"));
  int packed = 0;
  const SavedTensorHooks hooks([&](const Tensor& x) -> SavedTensorHooks::Unpack {
    ++packed;
    return [x] { return x; };
  });
  const Tensors z = apply_function<ProductAndQuotient>({a, b});
  EXPECT_EQ(packed, 3);
  backward(sum(z[1]));
  EXPECT_THAT(values(a.grad()), ElementsAre(1));
}

TEST(Function, ABackwardInsideABackwardMayMeetItHalfWay) {
  const Tensor a = leaf({6}), b = leaf({2});
  const Tensors y = apply_function<ProductAndQuotient>({a, b});
  const Tensor first = y[0] * 1.0;
  std::vector<double> inner;
  // Runs when the other result has handed over its gradient already.
  auto hook = register_pre_hook(first, [&](const Tensor&) {
    if (inner.empty()) inner = values(grad({y[0]}, {a}, {.retain_graph = true})[0]);
    return Tensor();
  });
  const Tensor late = y[1] * 1.0;
  backward(sum(first + late), {.retain_graph = true});
  EXPECT_THAT(inner, ElementsAre(2));
  EXPECT_THAT(values(a.grad()), ElementsAre(2.5));
}

}  // namespace
}  // namespace trireme
