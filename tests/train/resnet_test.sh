#!/usr/bin/env bash
# `trireme-train resnet` learns on two ranks, and what it saves is what it has judged.
#
# usage: resnet_test.sh TRIREME TRIREME-TRAIN
set -euo pipefail
trireme=$1 train=$2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
command -v python3 > /dev/null || { echo "skipped: python3 is not in PATH"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1 TRIREME_METRICS=off

python3 "$here/make_idx.py" images
resnet=("$train" resnet --data images --width 8 --batch 40 --lr 1e-2 --warmup 5 --eval-every 0)
"$trireme" run -n 2 --run-id "resnet-test-$$" --metrics-port off -- "${resnet[@]}" --steps 120 \
  --check-replicas-every 40 --out trained > log 2>&1 || { cat log; exit 1; }
# The weights and running statistics of rank 0 alone must give the same result.
model=$(echo trained/checkpoints/step-*/model.safetensors)
"${resnet[@]}" --steps 0 --init-from "$model" --out judged > log 2>&1 || { cat log; exit 1; }

python3 - << 'END'
from run_files import summary_of

trained, judged = summary_of("trained"), summary_of("judged")
assert trained["world_size"] == 2 and trained["accuracy"] > 0.9, trained
assert abs(trained["val_loss"] - judged["val_loss"]) < 1e-4 * (1 + judged["val_loss"]), judged
print("accuracy", trained["accuracy"])
END
