"""GPT-2, an LSTM and ResNet in plain PyTorch, shaped as core/models has them, for comparisons with Trireme.

`export(model)` gives the weights under the names and in the layouts that `trireme-train --init-from`
reads; `save_safetensors` writes them without any package but torch.
"""
import json
import math

import torch
from torch import nn
from torch.nn import functional as F


class GptBlock(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.c_attn, self.attn_proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.c_fc, self.mlp_proj = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(self, x):
        batch, time, dim = x.shape
        q, k, v = self.c_attn(self.ln_1(x)).split(dim, dim=2)
        q, k, v = (t.view(batch, time, self.heads, -1).transpose(1, 2) for t in (q, k, v))
        if hasattr(F, "scaled_dot_product_attention"):
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            scores = q @ k.transpose(-2, -1) / math.sqrt(q.size(-1))
            mask = torch.ones(time, time, dtype=torch.bool, device=x.device).tril()
            y = scores.masked_fill(~mask, float("-inf")).softmax(-1) @ v
        x = x + self.attn_proj(y.transpose(1, 2).reshape(batch, time, dim))
        return x + self.mlp_proj(F.gelu(self.c_fc(self.ln_2(x)), approximate="tanh"))


class Gpt(nn.Module):
    def __init__(self, vocab, context, layers, heads, dim):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocab, dim), nn.Embedding(context, dim)
        self.h = nn.ModuleList(GptBlock(dim, heads) for _ in range(layers))
        self.ln_f = nn.LayerNorm(dim)
        for p in self.parameters():
            if p.dim() > 1:
                nn.init.normal_(p, std=0.02)

    def forward(self, ids, targets):
        x = self.wte(ids) + self.wpe(torch.arange(ids.size(1), device=ids.device))
        for block in self.h:
            x = block(x)
        logits = self.ln_f(x) @ self.wte.weight.t()
        return F.cross_entropy(logits.view(-1, logits.size(-1)).float(), targets.view(-1))

    def export(self):
        """Hugging Face's names; linear layers are [in, out] there."""
        renamed = {"c_attn": "attn.c_attn", "attn_proj": "attn.c_proj", "c_fc": "mlp.c_fc",
                   "mlp_proj": "mlp.c_proj"}
        weights = {}
        for name, p in self.state_dict().items():
            parts = name.split(".")
            if parts[0] == "h" and parts[2] in renamed:
                parts[2] = renamed[parts[2]]
                p = p.t() if parts[-1] == "weight" else p
            weights[".".join(parts)] = p
        return weights


class Mlp(nn.Module):
    """Linear layers with ReLU between them; torch's own initial values."""

    def __init__(self, sizes):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:]))

    def forward(self, x):
        x = self.layers[0](x.flatten(1))
        for layer in self.layers[1:]:
            x = layer(F.relu(x))
        return x

    def export(self):
        """The same names; matrices are transposed."""
        return {name: p.t() if p.dim() == 2 else p for name, p in self.state_dict().items()}


class Lstm(nn.Module):
    """A language model of LSTM layers, all `dim` wide; torch's own initial values."""

    def __init__(self, vocab, layers, dim):
        super().__init__()
        self.embedding = nn.Embedding(vocab, dim)
        self.lstm = nn.LSTM(dim, dim, layers, batch_first=True)
        self.head = nn.Linear(dim, vocab)

    def forward(self, ids, targets):
        logits = self.head(self.lstm(self.embedding(ids))[0])
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())

    def export(self):
        """The same names; matrices but the embedding are transposed."""
        return {name: p.t() if p.dim() == 2 and not name.startswith("embedding") else p
                for name, p in self.state_dict().items()}


class ResNetBlock(nn.Module):
    """A basic block of two 3 x 3 convolutions, or a bottleneck of 1 x 1, 3 x 3, 1 x 1."""

    def __init__(self, inner, width, stride, bottleneck):
        super().__init__()
        outer = 4 * width if bottleneck else width
        shapes = ([(inner, width, 1, 1), (width, width, 3, stride), (width, outer, 1, 1)]
                  if bottleneck else [(inner, width, 3, stride), (width, width, 3, 1)])
        for i, (a, b, kernel, step) in enumerate(shapes, 1):
            setattr(self, f"conv{i}", nn.Conv2d(a, b, kernel, step, kernel // 2, bias=False))
            setattr(self, f"bn{i}", nn.BatchNorm2d(b))
        self.convs = len(shapes)
        self.downsample = None
        if stride != 1 or inner != outer:
            self.downsample = nn.Sequential(nn.Conv2d(inner, outer, 1, stride, bias=False),
                                            nn.BatchNorm2d(outer))

    def forward(self, x):
        y = x
        for i in range(1, self.convs + 1):
            y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
            y = F.relu(y) if i < self.convs else y
        return F.relu(y + (self.downsample(x) if self.downsample else x))


class ResNet(nn.Module):
    """torchvision's ResNet 18, 34 and 50, with its stem or a 3 x 3 one for small images."""

    def __init__(self, depth=18, classes=10, channels=3, width=64, stem="small"):
        super().__init__()
        counts = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}[depth]
        self.conv1 = (nn.Conv2d(channels, width, 3, 1, 1, bias=False) if stem == "small" else
                      nn.Conv2d(channels, width, 7, 2, 3, bias=False))
        self.bn1 = nn.BatchNorm2d(width)
        self.pool = nn.Identity() if stem == "small" else nn.MaxPool2d(3, 2, 1)
        inner = width
        for stage, count in enumerate(counts):
            blocks = []
            for i in range(count):
                blocks.append(ResNetBlock(inner, width << stage, 2 if stage and not i else 1,
                                          depth >= 50))
                inner = (width << stage) * (4 if depth >= 50 else 1)
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(inner, classes)

    def forward(self, x):
        x = self.pool(F.relu(self.bn1(self.conv1(x))))
        for stage in range(1, 5):
            x = getattr(self, f"layer{stage}")(x)
        return self.fc(x.mean((2, 3)))

    def export(self):
        """torchvision's names; filters are [out, height, width, in] and fc is [in, out] there."""
        weights = {}
        for name, p in self.state_dict().items():
            if name.endswith("num_batches_tracked"):
                continue
            weights[name] = (p.permute(0, 2, 3, 1) if p.dim() == 4 else p.t() if p.dim() == 2 else p)
        return weights


def save_safetensors(path, tensors):
    """The format in a few lines: an 8-byte length, a JSON header, the bytes."""
    header, data, offset = {}, [], 0
    for name, tensor in tensors.items():
        raw = tensor.detach().float().cpu().contiguous().numpy().tobytes()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape),
                        "data_offsets": [offset, offset + len(raw)]}
        data.append(raw)
        offset += len(raw)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + b"".join(data))
