// Attention as models have it, heads of 64 and 128 in 16 bits: cuDNN's fused kernels are asked, and
// give what the CPU computes in f64 from the same numbers.

#include <algorithm>
#include <cmath>

#include "core/autograd/backward.h"
#include "core/ops/ops.h"
#include "core/tensor/transfer.h"
#include "tests/gpu/api_calls.h"
#include "tests/gpu/gpu_test.h"

namespace trireme::testing {
namespace {

using Tensors = std::vector<Tensor>;

struct Attention {
  const char* name;
  int64_t heads, queries, keys, head_dim;
  bool causal, packed;
  int64_t kv_heads = 0;  // 0: as many as queries have

  Tensor operator()(const Tensors& in) const {
    if (packed) {
      return scaled_dot_product_attention_qkv(in[0], static_cast<int>(heads), {.causal = causal},
                                              static_cast<int>(kv_heads));
    }
    return scaled_dot_product_attention(in[0], in[1], in[2], {.causal = causal});
  }
  std::vector<Shape> shapes() const {
    constexpr int64_t kBatch = 2;
    const int64_t kv = kv_heads > 0 ? kv_heads : heads;
    if (packed) return {{kBatch, queries, (heads + 2 * kv) * head_dim}};
    const Shape of_keys{kBatch, kv, keys, head_dim};
    return {{kBatch, heads, queries, head_dim}, of_keys, of_keys};
  }
};
std::ostream& operator<<(std::ostream& out, const Attention& a) { return out << a.name; }

/// Uniform in [-2, 2), rounded to `dtype`.
Tensor draw(const Shape& shape, Generator& generator, DType dtype) {
  return cast(rand(shape, generator) * 4.0 - 2.0, dtype);
}
Tensor in_f64(const Tensor& x) { return cast(x, DType::kF64); }

void expect_near(const Tensor& got, const Tensor& want, double tolerance, const char* what) {
  ASSERT_EQ(got.shape(), want.shape()) << what;
  const auto a = got.to_vector<double>(), b = want.to_vector<double>();
  for (size_t i = 0; i < a.size(); ++i) {
    ASSERT_NEAR(a[i], b[i], tolerance * std::max(1.0, std::abs(b[i]))) << what << " " << i;
  }
}

class GpuAttention : public GpuTest, public ::testing::WithParamInterface<Attention> {};

TEST_P(GpuAttention, InHalfPrecisionIsTheLibrarysAndEqualsF64) {
  const Attention& attention = GetParam();
  for (const DType dtype : {DType::kBF16, DType::kF16}) {
    Generator generator(17);
    Tensors here, there;
    for (const Shape& shape : attention.shapes()) {
      const Tensor x = draw(shape, generator, dtype);
      here.push_back(in_f64(x).set_requires_grad());
      there.push_back(to_device(x, gpu()).set_requires_grad());
    }
    const Tensor want = attention(here);
    const Tensor dy = draw(want.shape(), generator, dtype);
    backward(want, {.gradient = in_f64(dy)});

    const Tensor got = [&] {
      const ApiCalls calls;
      const Tensor y = attention(there);
      EXPECT_EQ(calls.launches(), 0) << "cuDNN has refused, or was not asked";
      return y;
    }();
    backward(got, {.gradient = to_device(dy, gpu())});

    // Rounded: the weights, the result; of gradients also what they are made from.
    const double unit = dtype == DType::kBF16 ? 0x1p-8 : 0x1p-11;
    expect_near(got, want, 2 * unit, "y");
    for (size_t i = 0; i < here.size(); ++i) {
      expect_near(there[i].grad(), here[i].grad(), 10 * unit, "gradient");
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Heads, GpuAttention,
    ::testing::Values(Attention{"of_64", 2, 67, 67, 64, false, false},
                      Attention{"of_64_causal", 2, 67, 67, 64, true, false},
                      Attention{"of_64_more_keys", 2, 67, 90, 64, false, false},
                      Attention{"of_64_packed", 2, 67, 67, 64, false, true},
                      Attention{"of_64_packed_causal", 2, 67, 67, 64, true, true},
                      Attention{"of_64_several_blocks_causal", 1, 200, 200, 64, true, true},
                      Attention{"of_128", 2, 40, 40, 128, false, false},
                      Attention{"of_128_causal", 2, 40, 40, 128, true, false},
                      Attention{"of_128_packed_causal", 2, 40, 40, 128, true, true},
                      Attention{"of_64_grouped", 4, 40, 50, 64, false, false, 2},
                      Attention{"of_128_grouped_packed_causal", 4, 40, 40, 128, true, true, 1}),
    [](const auto& instance) { return std::string(instance.param.name); });

}  // namespace
}  // namespace trireme::testing
