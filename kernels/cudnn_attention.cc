#include "kernels/cudnn_attention.h"

#include <utility>

namespace trireme::kernels {
namespace {

CudnnDims dims_of(const AttentionStrides& strides) { return {strides.begin(), strides.end()}; }
CudnnDims transposed(CudnnDims dims) {
  std::swap(dims[2], dims[3]);
  return dims;
}

/// The parts that forward and backward share.
class AttentionGraph {
 public:
  AttentionGraph(CudnnGraph graph, const AttentionShape& s, AttentionMask mask)
      : graph_(std::move(graph)),
        type_(s.type),
        mask_(mask),
        query_{s.batch, s.heads, s.queries, s.head_dim},
        query_strides_{s.heads * s.queries * s.head_dim, s.queries * s.head_dim, s.head_dim, 1},
        key_{s.batch, s.kv_heads, s.keys, s.head_dim},
        share_{s.batch, s.heads, s.keys, s.head_dim},
        share_strides_{s.heads * s.keys * s.head_dim, s.keys * s.head_dim, s.head_dim, 1},
        score_{s.batch, s.heads, s.queries, s.keys},
        score_strides_{s.heads * s.queries * s.keys, s.queries * s.keys, s.keys, 1},
        row_{s.batch, s.heads, s.queries, 1},
        row_strides_{s.heads * s.queries, s.queries, 1, 1} {}

  CudnnTensor of_queries(const char* name, const AttentionStrides& strides) {
    return graph_.tensor(name, type_, query_, dims_of(strides));
  }
  CudnnTensor of_keys(const char* name, const AttentionStrides& strides) {
    return graph_.tensor(name, type_, key_, dims_of(strides));
  }
  /// [batch, heads, head_dim, keys] of a tensor that lies as [batch, heads, keys, head_dim].
  CudnnTensor of_keys_transposed(const char* name, const AttentionStrides& strides) {
    return graph_.tensor(name, type_, transposed(key_), transposed(dims_of(strides)));
  }
  CudnnTensor of_queries_f32(const char* name) {
    return graph_.tensor(name, CUDNN_DATA_FLOAT, query_, query_strides_);
  }
  CudnnTensor rows(const char* name) {
    return graph_.tensor(name, CUDNN_DATA_FLOAT, row_, row_strides_);
  }
  CudnnTensor scalar(const char* name) { return graph_.scalar(name, 4); }

  CudnnTensor scores(const char* name, cudnnDataType_t type = CUDNN_DATA_FLOAT) {
    return graph_.temporary(name, type, score_, score_strides_);
  }
  CudnnTensor row_temporary(const char* name) {
    return graph_.temporary(name, CUDNN_DATA_FLOAT, row_, row_strides_);
  }
  CudnnTensor query_temporary(const char* name) {
    return graph_.temporary(name, CUDNN_DATA_FLOAT, query_, query_strides_);
  }

  /// A new tensor of scores: mode(x, b).
  CudnnTensor on_scores(const char* name, cudnnPointwiseMode_t mode, CudnnTensor x,
                        CudnnTensor b = {}) {
    const CudnnTensor y = scores(name);
    graph_.pointwise(name, mode, y, x, b);
    return y;
  }

  CudnnTensor scaled_scores(CudnnTensor q, CudnnTensor kt, CudnnTensor scale) {
    const CudnnTensor s = scores("scores");
    graph_.matmul("q k^T", s, q, kt);
    return on_scores("scaled scores", CUDNN_POINTWISE_MUL, s, scale);
  }

  /// Scores of keys that lie behind the query become -infinity.
  CudnnTensor masked(CudnnTensor x, CudnnTensor minus_infinity) {
    if (mask_ == AttentionMask::kNone) return x;
    const CudnnTensor query = scores("query index", CUDNN_DATA_INT32);
    const CudnnTensor key = scores("key index", CUDNN_DATA_INT32);
    const CudnnTensor keeps = scores("causal mask", CUDNN_DATA_BOOLEAN);
    const CudnnTensor y = scores("masked scores");
    graph_.index("query index", 2, query, x);
    graph_.index("key index", 3, key, x);
    graph_.pointwise("causal mask", CUDNN_POINTWISE_CMP_GE, keeps, query, key, {},
                     CUDNN_DATA_BOOLEAN);
    graph_.pointwise("masked scores", CUDNN_POINTWISE_BINARY_SELECT, y, x, minus_infinity, keeps);
    return y;
  }

  /// x^T in the dtype of the operands.
  CudnnTensor transposed_scores(const char* name, CudnnTensor x) {
    const CudnnTensor y =
        graph_.temporary(name, type_, transposed(score_), transposed(score_strides_));
    graph_.reshape(name, y, x);
    return y;
  }

  /// to = x^T y: a gradient of keys, where each query head of several that share one has a share.
  void key_gradient(const char* name, CudnnTensor to, CudnnTensor xt, CudnnTensor y) {
    if (share_ == key_) return graph_.matmul(name, to, xt, y);
    const CudnnTensor shares = graph_.temporary(name, type_, share_, share_strides_);
    graph_.matmul(name, shares, xt, y);
    graph_.reduction(name, CUDNN_REDUCE_TENSOR_ADD, to, shares);
  }

  CudnnGraph& graph() { return graph_; }
  cudnnDataType_t type() const { return type_; }
  const CudnnDims& key_extents() const { return key_; }

 private:
  CudnnGraph graph_;
  const cudnnDataType_t type_;
  const AttentionMask mask_;
  const CudnnDims query_, query_strides_, key_, share_, share_strides_, score_, score_strides_;
  const CudnnDims row_, row_strides_;
};

}  // namespace

CudnnBuilt build_attention_forward(CudnnGraph graph, const AttentionForwardLayout& layout) {
  AttentionGraph a(std::move(graph), layout.shape, layout.mask);
  const CudnnTensor q = a.of_queries("q", layout.q), kt = a.of_keys_transposed("k", layout.k);
  const CudnnTensor v = a.of_keys("v", layout.v), out = a.of_queries("out", layout.out);
  const CudnnTensor scale = a.scalar("scale"), minus_infinity = a.scalar("minus infinity");
  const CudnnTensor logsumexp = a.rows("logsumexp");

  const CudnnTensor s = a.masked(a.scaled_scores(q, kt, scale), minus_infinity);
  const CudnnTensor most = a.row_temporary("largest"), sum = a.row_temporary("sum");
  const CudnnTensor log_sum = a.row_temporary("log of sum");
  a.graph().reduction("largest", CUDNN_REDUCE_TENSOR_MAX, most, s);
  const CudnnTensor shifted = a.on_scores("shifted scores", CUDNN_POINTWISE_SUB, s, most);
  const CudnnTensor e = a.on_scores("exponentials", CUDNN_POINTWISE_EXP, shifted);
  a.graph().reduction("sum", CUDNN_REDUCE_TENSOR_ADD, sum, e);
  a.graph().pointwise("log of sum", CUDNN_POINTWISE_LOG, log_sum, sum);
  a.graph().pointwise("logsumexp", CUDNN_POINTWISE_ADD, logsumexp, most, log_sum);
  const CudnnTensor p = a.scores("probabilities", a.type());
  a.graph().pointwise("probabilities", CUDNN_POINTWISE_DIV, p, e, sum);
  a.graph().matmul("p v", out, p, v);

  CudnnBuilt built{{q, kt, v, scale, minus_infinity, out, logsumexp}, a.graph().plans({})};
  if (layout.mask == AttentionMask::kNone) built.arguments[4] = {};
  return built;
}

CudnnBuilt build_attention_backward(CudnnGraph graph, const AttentionBackwardLayout& layout) {
  const AttentionForwardLayout& f = layout.forward;
  AttentionGraph a(std::move(graph), f.shape, f.mask);
  const CudnnTensor q = a.of_queries("q", f.q), kt = a.of_keys_transposed("k", f.k);
  const CudnnTensor vt = a.of_keys_transposed("v", f.v), out = a.of_queries("out", f.out);
  const CudnnTensor dout = a.of_queries("dout", layout.dout), logsumexp = a.rows("logsumexp");
  const CudnnTensor scale = a.scalar("scale"), minus_infinity = a.scalar("minus infinity");
  const CudnnTensor one = a.scalar("one"), delta = a.rows("delta");
  const CudnnTensor dq_sum = layout.deterministic ? CudnnTensor{} : a.of_queries_f32("dq_sum");
  const CudnnTensor dq = a.of_queries("dq", layout.dq), dk = a.of_keys("dk", layout.dk);
  const CudnnTensor dv = a.of_keys("dv", layout.dv);

  // delta = sum over head_dim of dout out, which is what softmax's gradient subtracts.
  const CudnnTensor product = a.query_temporary("dout out"), raw = a.row_temporary("raw delta");
  a.graph().pointwise("dout out", CUDNN_POINTWISE_MUL, product, dout, out);
  a.graph().reduction("raw delta", CUDNN_REDUCE_TENSOR_ADD, raw, product);
  a.graph().pointwise("delta", CUDNN_POINTWISE_MUL, delta, raw, one);

  // p = exp(scores - logsumexp), dv = p^T dout.
  const CudnnTensor s =
      a.on_scores("shifted scores", CUDNN_POINTWISE_SUB, a.scaled_scores(q, kt, scale), logsumexp);
  const CudnnTensor p =
      a.on_scores("probabilities", CUDNN_POINTWISE_EXP, a.masked(s, minus_infinity));
  a.key_gradient("p^T dout", dv, a.transposed_scores("p^T", p), dout);

  // ds = p (dout v^T - delta) scale, dk = ds^T q.
  const CudnnTensor dp = a.scores("dp");
  a.graph().matmul("dout v^T", dp, dout, vt);
  const CudnnTensor centred = a.on_scores("dp - delta", CUDNN_POINTWISE_SUB, dp, delta);
  const CudnnTensor weighted = a.on_scores("p (dp - delta)", CUDNN_POINTWISE_MUL, centred, p);
  const CudnnTensor ds = a.on_scores("ds", CUDNN_POINTWISE_MUL, weighted, scale);
  a.key_gradient("ds^T q", dk, a.transposed_scores("ds^T", ds), q);

  // dq = ds k.
  const CudnnTensor k =
      a.graph().temporary("k as it lies", CUDNN_DATA_FLOAT, a.key_extents(), dims_of(f.k));
  a.graph().reshape("k as it lies", k, kt);
  if (layout.deterministic) {
    a.graph().matmul("ds k", dq, ds, k);
  } else {
    a.graph().matmul("ds k", dq_sum, ds, k);
    a.graph().pointwise("dq", CUDNN_POINTWISE_IDENTITY, dq, dq_sum);
  }

  CudnnBuilt built{
      {q, kt, vt, out, dout, logsumexp, scale, minus_infinity, one, delta, dq_sum, dq, dk, dv},
      a.graph().plans({})};
  if (f.mask == AttentionMask::kNone) built.arguments[7] = {};
  return built;
}

}  // namespace trireme::kernels
