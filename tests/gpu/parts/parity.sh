#!/usr/bin/env bash
# The same weights and batches in PyTorch and in Trireme give the same losses for 50 steps: GPT-2 124M,
# an LSTM, an MLP and ResNet-50, in f32 and bf16.
# shellcheck source=tests/gpu/parts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
needs_torch
small=()
if [ "$QUICK" = 1 ] || ! is_gpu; then small=(--small --batch 32); fi
for model in gpt lstm mlp resnet; do
  large=()
  if [ ${#small[@]} = 0 ]; then
    case $model in mlp) large=(--batch 128) ;; resnet) large=(--batch 32) ;; esac
  fi
  for precision in f32 bf16; do
    check "$PYTHON" "$COMPARE/parity.py" "$model" --bin "$BIN" --device "$DEVICE" \
      --precision "$precision" "${small[@]}" "${large[@]}"
  done
done
finish
