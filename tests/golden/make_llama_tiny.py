#!/usr/bin/env python3
"""Writes llama_tiny/ and llama_tiny_tied/: model.safetensors, config.json and golden.json.

The oracle is the Llama below, in plain PyTorch (made with 1.13) and in f64 from f32 weights; the
names and the config are those of Hugging Face. Where transformers is installed, `--check` compares
it with transformers' LlamaForCausalLM (done with 4.36.2); the tests need neither.
"""

import json
import math
import pathlib
import struct
import sys

import torch
from torch import nn
from torch.nn import functional as F

HERE = pathlib.Path(__file__).parent
CONTEXT, STEPS, LR, BETAS, EPS, DECAY, CLIP = 8, 5, 0.01, (0.9, 0.95), 1e-8, 0.1, 1.0
SHAPES = {
    "llama_tiny": {
        "model_type": "llama", "hidden_act": "silu", "vocab_size": 19, "hidden_size": 16,
        "intermediate_size": 20, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "max_position_embeddings": CONTEXT, "rms_norm_eps": 1e-5,
        "rope_theta": 100.0, "rope_scaling": None, "attention_bias": False,
        "tie_word_embeddings": False},
    "llama_tiny_tied": {
        "model_type": "llama", "hidden_act": "silu", "vocab_size": 11, "hidden_size": 18,
        "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 3,
        "num_key_value_heads": 1, "max_position_embeddings": CONTEXT, "rms_norm_eps": 1e-3,
        "tie_word_embeddings": True},
}


class Norm(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(config["hidden_size"]))
        self.eps = config["rms_norm_eps"]

    def forward(self, x):
        return self.weight * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps)


class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        dim, self.heads = config["hidden_size"], config["num_attention_heads"]
        self.kv_heads, self.width = config["num_key_value_heads"], dim // self.heads
        self.theta = config.get("rope_theta", 10000.0)
        self.q_proj = nn.Linear(dim, dim, bias=False)
        self.k_proj = nn.Linear(dim, self.kv_heads * self.width, bias=False)
        self.v_proj = nn.Linear(dim, self.kv_heads * self.width, bias=False)
        self.o_proj = nn.Linear(dim, dim, bias=False)

    def turned(self, x):  # [batch, heads, time, width]
        half = self.width // 2
        frequency = self.theta ** (-torch.arange(half, dtype=x.dtype) / half)
        angle = torch.arange(x.shape[2], dtype=x.dtype)[:, None] * frequency
        a, b = x[..., :half], x[..., half:]
        return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)

    def forward(self, x):
        batch, time, _ = x.shape
        by_head = [p(x).view(batch, time, -1, self.width).transpose(1, 2)
                   for p in (self.q_proj, self.k_proj, self.v_proj)]
        q, k, v = self.turned(by_head[0]), self.turned(by_head[1]), by_head[2]
        k, v = (y.repeat_interleave(self.heads // self.kv_heads, 1) for y in (k, v))
        scores = q @ k.transpose(2, 3) / math.sqrt(self.width)
        future = torch.ones(time, time, dtype=torch.bool).triu(1)
        y = scores.masked_fill(future, -math.inf).softmax(-1) @ v
        return self.o_proj(y.transpose(1, 2).reshape(batch, time, -1))


class FeedForward(nn.Module):
    def __init__(self, config):
        super().__init__()
        dim, hidden = config["hidden_size"], config["intermediate_size"]
        self.gate_proj = nn.Linear(dim, hidden, bias=False)
        self.up_proj = nn.Linear(dim, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, dim, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.self_attn, self.mlp = Attention(config), FeedForward(config)
        self.input_layernorm, self.post_attention_layernorm = Norm(config), Norm(config)

    def forward(self, x):
        x = x + self.self_attn(self.input_layernorm(x))
        return x + self.mlp(self.post_attention_layernorm(x))


class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.model = nn.Module()
        self.model.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.model.layers = nn.ModuleList(
            Block(config) for _ in range(config["num_hidden_layers"]))
        self.model.norm = Norm(config)
        self.lm_head = nn.Linear(config["hidden_size"], config["vocab_size"], bias=False)
        if config["tie_word_embeddings"]:
            self.lm_head.weight = self.model.embed_tokens.weight

    def forward(self, ids):
        x = self.model.embed_tokens(ids)
        for block in self.model.layers:
            x = block(x)
        return self.lm_head(self.model.norm(x))


def save_safetensors(path, tensors):
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, tensor in tensors.items():
        values = tensor.detach().contiguous().numpy().tobytes()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape),
                        "data_offsets": [len(data), len(data) + len(values)]}
        data += values
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def greedy(model, prompt):
    ids = prompt
    while ids.shape[1] < CONTEXT:
        ids = torch.cat([ids, model(ids)[:, -1:].argmax(-1)], 1)
    return ids[0].tolist()


def golden_of(config, directory):
    torch.manual_seed(3)
    model = Llama(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # Far from the initial values, so that every gain matters.
            spread = 0.2 if parameter.dim() > 1 else 0.4
            parameter.add_(spread * torch.randn_like(parameter))
        model.model.embed_tokens.weight.mul_(0.5)
    tensors = dict(model.named_parameters())  # a tied head is there once
    save_safetensors(directory / "model.safetensors", tensors)
    (directory / "config.json").write_text(json.dumps(config, indent=2) + "\n")

    model.double()
    ids = torch.randint(config["vocab_size"], (2, CONTEXT))
    targets = torch.randint(config["vocab_size"], (2, CONTEXT))
    targets[1, 3:5] = -100  # ignored
    loss_of = lambda logits: F.cross_entropy(logits.flatten(0, 1), targets.flatten())
    logits = model(ids)
    loss = loss_of(logits)
    loss.backward()
    parameters = dict(model.named_parameters())
    full = ("model.embed_tokens.weight", "model.layers.0.self_attn.k_proj.weight",
            "model.layers.0.mlp.gate_proj.weight", "model.layers.0.input_layernorm.weight")
    golden = {
        "ids": ids.flatten().tolist(), "targets": targets.flatten().tolist(), "batch": 2,
        "logits": logits.detach().flatten().tolist(), "loss": loss.item(),
        "gradients": {n: parameters[n].grad.flatten().tolist() for n in full},
        "gradient_norms": {n: p.grad.norm().item() for n, p in parameters.items()},
        "greedy": greedy(model, ids[:1, :3]),
    }
    if "--check" in sys.argv:
        from transformers import LlamaConfig, LlamaForCausalLM
        theirs = LlamaForCausalLM(LlamaConfig(**config))
        theirs.load_state_dict({**parameters, "lm_head.weight": model.lm_head.weight})
        torch.testing.assert_close(theirs(ids).logits, logits.float(), atol=1e-5, rtol=1e-5)
        print(directory.name, "agrees with transformers")

    # Training: AdamW on matrices with weight decay, on the rest without, clipped by the norm.
    optimizer = torch.optim.AdamW(
        [{"params": [p for p in model.parameters() if p.dim() >= 2], "weight_decay": DECAY},
         {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0}],
        lr=LR, betas=BETAS, eps=EPS)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = loss_of(model(ids))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        losses.append(loss.item())
    golden["training"] = {"lr": LR, "beta1": BETAS[0], "beta2": BETAS[1], "eps": EPS,
                          "weight_decay": DECAY, "clip": CLIP, "losses": losses}
    (directory / "golden.json").write_text(json.dumps(golden) + "\n")


for name, config in SHAPES.items():
    (HERE / name).mkdir(exist_ok=True)
    golden_of(config, HERE / name)
