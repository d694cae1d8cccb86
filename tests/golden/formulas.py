"""What torch 1.13 has no function for, in functions that it has."""

import math

import torch


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
