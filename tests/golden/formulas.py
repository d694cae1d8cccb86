"""What torch has no function for (1.13: rms, attention), or has for channels in another place."""

import math

import torch
from torch.nn import functional as F


def rms(x, gamma=None, eps=1e-5):
    y = x * (x.square().mean(-1, keepdim=True) + eps).rsqrt()
    return y if gamma is None else y * gamma


def attention(q, k, v, mask=None, causal=False, scale=None):
    scores = q @ k.transpose(-1, -2) * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    if causal:  # the last query sees every key
        queries, keys = scores.shape[-2:]
        sees = torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries)
        scores = scores.masked_fill(~sees, -math.inf)
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else scores + mask
    return torch.softmax(scores, -1) @ v


def packed(qkv, heads, causal=False):
    batch, time, width = qkv.shape
    q, k, v = (part.reshape(batch, time, heads, width // 3 // heads).transpose(1, 2)
               for part in qkv.chunk(3, -1))
    return attention(q, k, v, causal=causal).transpose(1, 2).reshape(batch, time, width // 3)


def layer(x, gamma=None, beta=None, eps=1e-5):
    return F.layer_norm(x, x.shape[-1:], gamma, beta, eps)


def group(x, groups, gamma=None, beta=None, eps=1e-5):
    return F.group_norm(x.movedim(-1, 1), groups, gamma, beta, eps).movedim(1, -1)


def batch(x, gamma=None, beta=None, running_mean=None, running_var=None, training=True,
          momentum=0.1, eps=1e-5, residual=None, fused=False):
    mean = None if running_mean is None else running_mean.clone()
    var = None if running_var is None else running_var.clone()
    y = F.batch_norm(x.movedim(-1, 1), mean, var, gamma, beta, training, momentum,
                     eps).movedim(1, -1)
    if fused:
        y = torch.relu(y if residual is None else y + residual)
    return (y,) if mean is None else (y, mean, var)


def fused(**operands):
    return batch(fused=True, **operands)


def rotary(x, theta=10000.0, first=0, rotated=-1):
    """x [batch, time, heads, head_dim]; feature d is paired with d + head_dim / 2."""
    half = x.shape[-1] // 2
    angles = (torch.arange(x.shape[1], dtype=torch.float64) + first)[:, None] * theta ** (
        -torch.arange(half, dtype=torch.float64) / half)
    cos, sin = angles.cos()[:, None], angles.sin()[:, None]
    a, b = x[..., :half], x[..., half:]
    turned = torch.cat([a * cos - b * sin, b * cos + a * sin], -1)
    return turned if rotated < 0 else torch.cat([turned[:, :, :rotated], x[:, :, rotated:]], 2)
