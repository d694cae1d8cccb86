// Every differentiable op, grouped; activations, losses and recurrent layers in headers of their
// own, which this one includes. Ops are free functions; binary ones broadcast as NumPy does.
//
// All throw InvalidArgument `op: what must hold, got values` for wrong shapes, dtypes or devices,
// before touching memory. Operands of one op have the same dtype; nothing is converted silently.
// Floating ops take f64, f32, bf16 and f16; the 16-bit types are computed in f32 and rounded once
// per result, statistics that an op keeps for its gradient stay f32. Results and gradients have the
// dtype of their operand unless said otherwise. Results are contiguous unless they are views. -1
// counts from the end.

#pragma once

#include <array>
#include <initializer_list>
#include <optional>
#include <span>
#include <vector>

#include "core/base/philox.h"
#include "core/ops/activations.h"
#include "core/ops/comparing.h"
#include "core/ops/convolutions.h"
#include "core/ops/indexing.h"
#include "core/ops/keep_dim.h"
#include "core/ops/losses.h"
#include "core/ops/products.h"
#include "core/ops/recurrent.h"
#include "core/ops/rotary.h"
#include "core/ops/shaping.h"
#include "core/ops/statistics.h"
#include "core/tensor/copy.h"
#include "core/tensor/create.h"
#include "core/tensor/tensor.h"

namespace trireme {

// --- pointwise ----------------------------------------------------------------------------------

Tensor add(const Tensor& a, const Tensor& b);
Tensor sub(const Tensor& a, const Tensor& b);
Tensor mul(const Tensor& a, const Tensor& b);
Tensor div(const Tensor& a, const Tensor& b);
Tensor maximum(const Tensor& a, const Tensor& b);  // ties: half the gradient to each
Tensor minimum(const Tensor& a, const Tensor& b);
/// x + value, x * value, x / value. The scalar is converted to x's dtype; integers refuse one that
/// is not whole, and are not divided.
Tensor add(const Tensor& x, double value);
Tensor mul(const Tensor& x, double value);
Tensor div(const Tensor& x, double value);
Tensor neg(const Tensor& x);
Tensor pow(const Tensor& x, double exponent);
Tensor exp(const Tensor& x);
Tensor log(const Tensor& x);
Tensor sqrt(const Tensor& x);
Tensor rsqrt(const Tensor& x);
Tensor reciprocal(const Tensor& x);
Tensor square(const Tensor& x);
Tensor abs(const Tensor& x);
Tensor sin(const Tensor& x);
Tensor cos(const Tensor& x);
Tensor tanh(const Tensor& x);
Tensor sigmoid(const Tensor& x);
Tensor relu(const Tensor& x);
enum class Gelu { kErf, kTanh };
/// x * Phi(x), exact (erf) or in the tanh approximation that GPT-2 uses. Hendrycks and Gimpel,
/// "Gaussian error linear units", 2016.
Tensor gelu(const Tensor& x, Gelu form = Gelu::kErf);
/// min(max(x, low), high); the gradient is zero outside and at the bounds.
Tensor clamp(const Tensor& x, double low, double high);

inline Tensor operator+(const Tensor& a, const Tensor& b) { return add(a, b); }
inline Tensor operator-(const Tensor& a, const Tensor& b) { return sub(a, b); }
inline Tensor operator*(const Tensor& a, const Tensor& b) { return mul(a, b); }
inline Tensor operator/(const Tensor& a, const Tensor& b) { return div(a, b); }
inline Tensor operator-(const Tensor& x) { return neg(x); }
inline Tensor operator+(const Tensor& x, double value) { return add(x, value); }
inline Tensor operator-(const Tensor& x, double value) { return add(x, -value); }
inline Tensor operator*(const Tensor& x, double value) { return mul(x, value); }
inline Tensor operator*(double value, const Tensor& x) { return mul(x, value); }
inline Tensor operator/(const Tensor& x, double value) { return div(x, value); }
inline Tensor operator+(double value, const Tensor& x) { return add(x, value); }
inline Tensor operator-(double value, const Tensor& x) { return add(neg(x), value); }
inline Tensor operator/(double value, const Tensor& x) { return mul(reciprocal(x), value); }

// --- choice; comparisons and logic are in comparing.h --------------------------------------------

/// condition ? a : b; condition is bool. Gradients flow to a and b.
Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b);
/// Index of the largest element along `dim`, first one on ties; i64, `dim` removed.
Tensor argmax(const Tensor& x, int dim);

// --- reductions; more of them in statistics.h ----------------------------------------------------

/// f32 and the 16-bit types are summed in f64; integers and bool sum to i64. The sum of nothing is
/// 0, its mean NaN.
Tensor sum(const Tensor& x);  // to a scalar (rank 0)
Tensor sum(const Tensor& x, std::span<const int> dims, KeepDim keep = KeepDim::kNo);
Tensor sum(const Tensor& x, std::initializer_list<int> dims, KeepDim keep = KeepDim::kNo);
Tensor sum(const Tensor& x, int dim, KeepDim keep = KeepDim::kNo);
Tensor mean(const Tensor& x);
Tensor mean(const Tensor& x, std::span<const int> dims, KeepDim keep = KeepDim::kNo);
Tensor mean(const Tensor& x, std::initializer_list<int> dims, KeepDim keep = KeepDim::kNo);
Tensor mean(const Tensor& x, int dim, KeepDim keep = KeepDim::kNo);
Tensor max(const Tensor& x);  // the gradient goes to the first largest element
Tensor max(const Tensor& x, int dim, KeepDim keep = KeepDim::kNo);
/// Sums the dimensions that broadcasting `shape` to x.shape() had added or stretched.
Tensor sum_to(const Tensor& x, const Shape& shape);

// --- views: no element is copied unless said ----------------------------------------------------

Tensor reshape(const Tensor& x, const Shape& shape);  // one extent may be -1; copies if it must
Tensor transpose(const Tensor& x, int dim0, int dim1);
Tensor permute(const Tensor& x, std::span<const int> order);
Tensor permute(const Tensor& x, std::initializer_list<int> order);
Tensor slice(const Tensor& x, int dim, int64_t begin, int64_t end);
Tensor expand(const Tensor& x, const Shape& shape);  // an extent of -1 keeps x's
Tensor squeeze(const Tensor& x, int dim);
Tensor unsqueeze(const Tensor& x, int dim);
/// Copies; shapes may differ in `dim` only.
Tensor concat(const std::vector<Tensor>& parts, int dim);
/// A contiguous tensor with x's elements; x itself if it is contiguous.
Tensor contiguous(const Tensor& x);
/// Converted to a floating dtype (a gradient flows back converted) or to any dtype without
/// gradient.
Tensor to(const Tensor& x, DType dtype);
/// On another device; the gradient flows back to x's. See core/tensor/transfer.h for who waits.
Tensor to(const Tensor& x, Device device);

// --- matrix products ----------------------------------------------------------------------------

/// [.., m, k] x [.., k, n] -> [.., m, n]; leading dimensions broadcast. Transposed operands are
/// read in place. 2 m n k FLOPs per matrix; large f32 products run in oneDNN, see kernels/matmul.h.
Tensor matmul(const Tensor& a, const Tensor& b);
/// x [.., in] times weight [in, out] plus bias [out] (bias may be undefined) -> [.., out]: the
/// layout of a GPT-2 layer. The bias is added inside the product.
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias = {});

// --- neural network ops -------------------------------------------------------------------------

Tensor softmax(const Tensor& x, int dim = -1);
Tensor log_softmax(const Tensor& x, int dim = -1);
/// Mean over the rows whose target is not ignore_index of -log softmax(logits)[target].
/// logits [.., classes], targets i64 or i32 [..]. A target outside [0, classes) is an error that
/// names it. All rows ignored: NaN, as 0/0 says. The loss of 16-bit logits is f32. classes: only
/// the first so many columns count, the others (a padded vocabulary) are neither read nor given a
/// gradient; 0: all.
Tensor cross_entropy(const Tensor& logits, const Tensor& targets, int64_t ignore_index = -100,
                     int64_t classes = 0);
/// Over the last dimension: (x - mean) / sqrt(var + eps) * gamma + beta. gamma and beta [features]
/// may be undefined. Ba, Kiros, Hinton, "Layer normalization", 2016.
Tensor layer_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps = 1e-5);
/// Over the last dimension: x / sqrt(mean(x^2) + eps) * gamma. gamma [features] may be undefined.
/// Zhang, Sennrich, "Root mean square layer normalization", 2019.
Tensor rms_norm(const Tensor& x, const Tensor& gamma, double eps = 1e-5);
/// Of x [batch, .., channels], over all positions of each image and the channels of each of
/// `groups` equal groups: (x - mean) / sqrt(var + eps) * gamma + beta. gamma and beta [channels]
/// may be undefined. Wu, He, "Group normalization", 2018.
Tensor group_norm(const Tensor& x, int64_t groups, const Tensor& gamma, const Tensor& beta,
                  double eps = 1e-5);
/// cross_entropy that turns its logits into their gradient, so that no second tensor of their size
/// is needed: afterwards `logits` hold d loss / d logits, zero in columns that do not count, and
/// any other use of their values is an error. They must be contiguous and the result of an op that
/// does not keep them (matmul, linear), and backward may run once. It is cross_entropy, and leaves
/// them alone, where no gradient is recorded and in f16: small gradients would vanish there before
/// the loss scale reaches them.
Tensor cross_entropy_inplace(const Tensor& logits, const Tensor& targets,
                             int64_t ignore_index = -100, int64_t classes = 0);
/// sum = x + residual and y = layer_norm(sum, gamma, beta, eps), in one pass each way. A tensor
/// hook on `sum` sees its gradient without the part that comes through y. Under Autocast sum is f32
/// and y, which a product is to read, of the guard's dtype.
struct NormalisedSum {
  Tensor sum, y;
};
NormalisedSum residual_layer_norm(const Tensor& x, const Tensor& residual, const Tensor& gamma,
                                  const Tensor& beta, double eps = 1e-5);
/// The same with y = rms_norm(sum, gamma, eps).
NormalisedSum residual_rms_norm(const Tensor& x, const Tensor& residual, const Tensor& gamma,
                                double eps = 1e-5);
/// linear(gelu(linear(x, weight1, bias1)), weight2, bias2), gelu in the tanh form, with all biases
/// defined: x [.., in], weight1 [in, hidden], weight2 [hidden, out] -> [.., out]. Keeps two tensors
/// [.., hidden]. On CUDA gelu and its gradient are part of the products where that is faster.
Tensor feed_forward(const Tensor& x, const Tensor& weight1, const Tensor& bias1,
                    const Tensor& weight2, const Tensor& bias2);
/// weight [vocabulary, features], ids i64 or i32 [..] -> [.., features]. An id outside the
/// vocabulary is an error that names it.
Tensor embedding(const Tensor& weight, const Tensor& ids);
/// Zeroes each element with probability p and scales the rest by 1 / (1 - p). The mask is a
/// function of the generator's state, which advances, and is not stored: backward makes it again.
Tensor dropout(const Tensor& x, double p, Generator& generator);

struct AttentionOptions {
  /// Query i sees keys 0 .. i + keys - queries: the last query sees every key.
  bool causal = false;
  /// Broadcasts to [batch, heads, queries, keys]. bool: true where the query may see the key; of
  /// q's dtype: added to the scores, -infinity masks. Undefined: none. Takes no gradient.
  Tensor mask = {};
  std::optional<double> scale = {};  // of q k^T; unset: 1 / sqrt(head_dim)
  /// Of the weights, with the mask a function of the generator's state, as in dropout().
  double dropout = 0;
  Generator* generator = nullptr;  // needed where dropout > 0
};
/// softmax(scale q k^T + mask) v with q [batch, heads, queries, head_dim] and k, v [batch,
/// kv_heads, keys, head_dim]; any strides with contiguous head_dim. kv_heads divides heads: so many
/// neighbouring query heads share one head of keys and values (Ainslie et al., "GQA", 2023), which
/// are not copied. A query that may see no key gets zeros.
/// On the CPU memory is linear in queries and keys: the scores are made again in backward. On CUDA
/// see kernels/attention.h: working memory is at most one 16-bit element per score, or 64 MiB.
Tensor scaled_dot_product_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                    const AttentionOptions& options = {});
/// The same from one packed projection: qkv [batch, time, (heads + 2 kv_heads) * head_dim] as
/// GPT-2's c_attn makes it -> [batch, time, heads * head_dim]. kv_heads 0: as many as heads.
Tensor scaled_dot_product_attention_qkv(const Tensor& qkv, int heads,
                                        const AttentionOptions& options = {}, int kv_heads = 0);

// --- images: [batch, height, width, channels], channels last; convolutions.h has more -----------

struct Pool2dOptions {
  std::array<int64_t, 2> kernel{2, 2};
  std::array<int64_t, 2> stride{0, 0};   // 0: the kernel's extent
  std::array<int64_t, 2> padding{0, 0};  // at most half the kernel; neither largest nor counted
};
Tensor max_pool2d(const Tensor& x, Pool2dOptions options = {});
Tensor avg_pool2d(const Tensor& x, Pool2dOptions options = {});
/// The mean of height x width windows that cover the image evenly.
Tensor adaptive_avg_pool2d(const Tensor& x, int64_t height, int64_t width);

struct BatchNormOptions {
  bool training = true;
  double momentum = 0.1;  // share of the new batch in the running statistics
  double eps = 1e-5;
};
/// (x - mean) / sqrt(var + eps) * gamma + beta per channel (the last dimension) of x [batch, ..,
/// channels]. In training, mean and var are those of this batch, and the running statistics, if
/// given (contiguous), move towards them in place (var unbiased there). Otherwise the running
/// statistics are used. gamma, beta, running_mean, running_var: [channels], each may be undefined
/// (the last two together). Beside 16-bit x, running statistics are f32, and gamma and beta may be.
/// Ioffe, Szegedy, "Batch normalization", 2015.
Tensor batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                  const Tensor& running_mean = {}, const Tensor& running_var = {},
                  BatchNormOptions options = {});
/// relu(batch_norm(x, gamma, ..) + residual) in one pass over memory less for each op that it
/// joins, and as much less backward. residual: like x, or undefined.
Tensor batch_norm_relu(const Tensor& x, const Tensor& residual, const Tensor& gamma,
                       const Tensor& beta, const Tensor& running_mean = {},
                       const Tensor& running_var = {}, BatchNormOptions options = {});

// --- in place, without history ------------------------------------------------------------------

/// y += alpha * x, y *= value. Bump y's version. While recording they refuse a y or x that requires
/// a gradient: no history would be kept. A y that repeats elements (expand) is refused, too.
void add_inplace(const Tensor& y, const Tensor& x, double alpha = 1.0);
void mul_inplace(const Tensor& y, double value);

}  // namespace trireme
