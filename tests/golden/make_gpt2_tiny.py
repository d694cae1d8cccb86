#!/usr/bin/env python3
"""Writes gpt2_tiny.safetensors and gpt2_tiny.json with Hugging Face's GPT-2 as the oracle.

Made with torch 1.13, transformers 4.30.2 and safetensors 0.8; any recent versions give the same
within f64 rounding. The tests need none of them.

The weights are stored in f32 as GPT-2 checkpoints are: with the prefix `transformer.`, the tied
`lm_head.weight`, and the causal masks that older versions of transformers wrote. Everything in the
JSON file is computed in f64 from those f32 weights.
"""

import json
import pathlib

import torch
from safetensors.torch import save_file
from transformers import GPT2Config, GPT2LMHeadModel

HERE = pathlib.Path(__file__).parent
VOCAB, CONTEXT, DIM, LAYERS, HEADS = 19, 8, 12, 2, 3
STEPS, LR, BETAS, EPS, DECAY, CLIP = 5, 0.01, (0.9, 0.95), 1e-8, 0.1, 1.0

torch.manual_seed(1)
model = GPT2LMHeadModel(
    GPT2Config(vocab_size=VOCAB, n_positions=CONTEXT, n_embd=DIM, n_layer=LAYERS, n_head=HEADS,
               resid_pdrop=0, embd_pdrop=0, attn_pdrop=0))
with torch.no_grad():
    for parameter in model.parameters():
        # Far from the initial values, so that every bias and gain matters.
        parameter.add_(0.25 * torch.randn_like(parameter))

tensors = {name: tensor.clone() for name, tensor in model.state_dict().items()}
for layer in range(LAYERS):
    prefix = f"transformer.h.{layer}.attn."
    tensors[prefix + "bias"] = torch.ones(CONTEXT, CONTEXT, dtype=torch.uint8).tril()[None, None]
    tensors[prefix + "masked_bias"] = torch.tensor(-1e4)
save_file(tensors, HERE / "gpt2_tiny.safetensors", metadata={"format": "pt"})

model.double().train()
ids = torch.randint(VOCAB, (2, CONTEXT))
targets = torch.randint(VOCAB, (2, CONTEXT))
targets[1, 3:5] = -100  # ignored


def loss_of(logits):
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


logits = model(ids).logits
loss = loss_of(logits)
loss.backward()
names = {id(p): n.removeprefix("transformer.") for n, p in model.named_parameters()}
golden = {
    "vocab_size": VOCAB, "context": CONTEXT, "dim": DIM, "layers": LAYERS, "heads": HEADS,
    "ids": ids.flatten().tolist(), "targets": targets.flatten().tolist(), "batch": 2,
    "logits": logits.detach().flatten().tolist(), "loss": loss.item(),
    "gradients": {names[id(p)]: p.grad.flatten().tolist() for p in model.parameters()
                  if names[id(p)] in ("wte.weight", "wpe.weight", "h.0.attn.c_attn.weight",
                                      "h.1.mlp.c_proj.bias", "ln_f.weight")},
    "gradient_norms": {names[id(p)]: p.grad.norm().item() for p in model.parameters()},
    "greedy": model.eval().generate(ids[:1, :3], max_length=CONTEXT, do_sample=False,
                                    pad_token_id=0)[0].tolist(),
}

# Training: AdamW on matrices with weight decay, on the rest without, clipped by the global norm.
model.train()
optimizer = torch.optim.AdamW(
    [{"params": [p for p in model.parameters() if p.dim() >= 2], "weight_decay": DECAY},
     {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0}],
    lr=LR, betas=BETAS, eps=EPS)
losses, norms = [], []
for _ in range(STEPS):
    optimizer.zero_grad()
    loss = loss_of(model(ids).logits)
    loss.backward()
    norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP).item())
    optimizer.step()
    losses.append(loss.item())
golden["training"] = {"lr": LR, "beta1": BETAS[0], "beta2": BETAS[1], "eps": EPS,
                      "weight_decay": DECAY, "clip": CLIP, "losses": losses, "norms": norms}
(HERE / "gpt2_tiny.json").write_text(json.dumps(golden) + "\n")
