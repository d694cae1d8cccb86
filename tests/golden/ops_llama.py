"""What Llama's blocks add: rotary positions, shared heads of keys and values, options."""

from torch.nn import functional as F

from formulas import attention, rms, rotary
from golden import case, real, write


for shape, arguments in (((2, 5, 3, 8), {}), ((1, 4, 2, 2), {"theta": 500.0}),
                         ((2, 3, 4, 6), {"first": 7}), ((2, 3, 4, 6), {"rotated": 3}),
                         ((1, 1, 1, 2), {}), ((0, 3, 2, 4), {})):
    case("rotary_embedding", rotary, {"x": real(*shape)}, slack=4, **arguments)


def shared(q, k, v, **options):
    """Neighbouring heads of queries share one of keys and values."""
    times = q.shape[1] // k.shape[1]
    return attention(q, k.repeat_interleave(times, 1), v.repeat_interleave(times, 1), **options)


def packed(qkv, heads, kv_heads, causal=True):
    batch, time, width = qkv.shape
    parts = qkv.reshape(batch, time, heads + 2 * kv_heads, -1).transpose(1, 2)
    q, k, v = parts.split([heads, kv_heads, kv_heads], 1)
    return shared(q, k, v, causal=causal).transpose(1, 2).reshape(batch, time, -1)


for heads, kv_heads in ((4, 2), (3, 1)):
    kv = real(2, kv_heads, 5, 4)
    for arguments in ({}, {"causal": True}):
        case("scaled_dot_product_attention", shared, {"q": real(2, heads, 5, 4), "k": kv, "v": kv},
             slack=16, more_on_cuda=1, **arguments)
    case("scaled_dot_product_attention_qkv", packed,
         {"qkv": real(2, 5, (heads + 2 * kv_heads) * 4)}, heads=heads, kv_heads=kv_heads,
         causal=True, slack=16, more_on_cuda=1)


for shape in ((3, 13), (2, 3, 8), (4, 1), (0, 5)):
    case("residual_rms_norm",
         lambda x, residual, gamma, eps: (x + residual, rms(x + residual, gamma, eps)),
         {"x": real(*shape), "residual": real(*shape), "gamma": real(shape[-1])}, eps=1e-2,
         slack=256, roundings=4)


def weights_of(prefix, rows, columns, bias=False):
    weight = {f"{prefix}.weight": real(rows, columns, low=-0.5, high=0.5)}
    return weight | ({f"{prefix}.bias": real(columns)} if bias else {})


def product(x, prefix, p):
    return F.linear(x, p[f"{prefix}.weight"].t(), p.get(f"{prefix}.bias"))


def self_attention(x, heads, kv_heads, rope_theta, **p):
    qkv = product(x, "c_attn", p)
    batch, time, width = qkv.shape
    by_head = qkv.reshape(batch, time, heads + 2 * kv_heads, -1)
    qkv = rotary(by_head, rope_theta, rotated=heads + kv_heads).reshape(batch, time, width)
    return product(packed(qkv, heads, kv_heads), "c_proj", p)


def feed_forward(x, kind, hidden, **p):
    if kind == "gelu":
        return product(F.gelu(product(x, "c_fc", p), approximate="tanh"), "c_proj", p)
    return product(F.silu(product(x, "c_gate", p)) * product(x, "c_fc", p), "c_proj", p)


for bias in (False, True):
    case("CausalSelfAttention", self_attention,
         {"x": real(2, 5, 16), **weights_of("c_attn", 16, 32, bias),
          **weights_of("c_proj", 16, 16, bias)}, heads=4, kv_heads=2, rope_theta=100.0, slack=64,
         roundings=32)
    case("FeedForward", feed_forward,
         {"x": real(2, 3, 4), **weights_of("c_gate", 4, 6, bias), **weights_of("c_fc", 4, 6, bias),
          **weights_of("c_proj", 6, 4, bias)}, kind="swiglu", hidden=6, slack=64, roundings=6)
case("FeedForward", feed_forward,
     {"x": real(2, 3, 4), **weights_of("c_fc", 4, 16), **weights_of("c_proj", 16, 4)}, kind="gelu",
     hidden=16, slack=64, roundings=6)
case("LayerNorm", lambda x, weight, eps: F.layer_norm(x, (6,), weight, None, eps),
     {"x": real(2, 3, 6), "weight": real(6)}, eps=1e-3, slack=64)

write("ops_llama")
