#!/usr/bin/env bash
# The same weights and batches in PyTorch and in Trireme give the same losses: GPT-2 124M, an LSTM and
# an MLP for 50 steps and ResNet-50 for 20, in f32 and bf16.
# shellcheck source=tests/gpu/parts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
needs_torch
small=()
if [ "$QUICK" = 1 ] || ! is_gpu; then small=(--small --batch 32); fi
for model in gpt lstm mlp resnet; do
  large=()
  if [ "$model" = mlp ] && [ ${#small[@]} = 0 ]; then large=(--batch 128); fi
  for precision in f32 bf16; do
    check "$PYTHON" "$COMPARE/parity.py" "$model" --bin "$BIN" --device "$DEVICE" \
      --precision "$precision" "${small[@]}" "${large[@]}"
  done
done
finish
