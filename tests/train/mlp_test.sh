#!/usr/bin/env bash
# `trireme-train mlp` learns to tell images apart, on two ranks as on one.
#
# usage: mlp_test.sh TRIREME TRIREME-TRAIN
set -euo pipefail
trireme=$1 train=$2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
command -v python3 > /dev/null || { echo "skipped: python3 is not in PATH"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1 TRIREME_METRICS=off

python3 "$here/make_idx.py" images
mlp=("$train" mlp --data images --hidden "48,32" --batch 40 --steps 100 --lr 3e-3 --warmup 10
  --eval-every 50 --eval-batches 0 --log-every 1 --check-replicas-every 25)
"${mlp[@]}" --out one > one.log 2>&1 || { cat one.log; exit 1; }
"$trireme" run -n 2 --run-id "mlp-test-$$" --metrics-port off -- "${mlp[@]}" --out two > two.log 2>&1 ||
  { cat two.log; exit 1; }

python3 - << 'END'
from run_files import lines_of, losses_of, summary_of

one, two = losses_of("one"), losses_of("two")
assert len(one) == len(two) == 100
assert one[0] > 2 and one[-1] < 0.3, "ln 10 is what knows nothing of ten classes"
# Equal but for the order of sums: the ranks share each batch of the one.
for step, (a, b) in enumerate(zip(one, two)):
    assert abs(a - b) < 1e-3 * (1 + a), f"step {step}: {a} on one rank, {b} on two"

summary = summary_of("two")
assert summary.keys() >= {"final_loss", "val_loss", "accuracy", "samples_per_second", "steps",
                          "world_size", "wall_seconds", "peak_memory_bytes"}, summary
assert "tokens_per_second" not in summary
assert (summary["world_size"], summary["steps"]) == (2, 100)
assert summary["accuracy"] > 0.9, summary
assert abs(summary["accuracy"] - summary_of("one")["accuracy"]) < 0.02
validations = [line for line in lines_of("two") if "accuracy" in line]
assert [line["step"] for line in validations] == [0, 50, 100]
assert validations[0]["accuracy"] < 0.4, "before training it must guess"
print("accuracy", summary["accuracy"])
END
