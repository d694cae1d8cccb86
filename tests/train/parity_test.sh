#!/usr/bin/env bash
# Small models against PyTorch, step by step; benchmarks/compare_pytorch/parity.py says how.
#
# usage: parity_test.sh PARITY.PY BIN-DIR
set -euo pipefail
python=$(for p in python3 /usr/bin/python3; do "$p" -c 'import torch' 2>/dev/null && echo "$p"; done | head -1)
if [ -z "$python" ]; then
  echo "skipped: python3 has no torch"
  exit 77
fi
export OMP_WAIT_POLICY=passive OPENBLAS_NUM_THREADS=2
"$python" "$1" gpt --bin "$2" --small
"$python" "$1" lstm --bin "$2" --small
for model in mlp resnet; do "$python" "$1" $model --bin "$2" --small --batch 32; done
for model in gpt lstm; do "$python" "$1" $model --bin "$2" --small --precision bf16; done
for model in mlp resnet; do "$python" "$1" $model --bin "$2" --small --batch 32 --precision bf16; done
