#!/usr/bin/env bash
# --precision on two ranks: every precision learns as f32 does, a resumed run ends with the bits of
# an uninterrupted one, and a run may go on in another precision.
#
# usage: precision_test.sh TRIREME TRIREME-TRAIN
set -euo pipefail
trireme=$1 train=$2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
command -v python3 > /dev/null || { echo "skipped: python3 is not in PATH"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1
for i in $(seq 400); do echo "line $i of a text to learn, $((i * 7919 % 1000))"; done > text

run() { # run NAME FLAGS...: 60 steps on two ranks
  local name=$1
  shift
  "$trireme" run -n 2 --run-id "precision-test-$$-$name" --metrics-port off -- "$train" gpt \
    --data text --layers 2 --heads 2 --dim 32 --context 16 --batch 16 --accumulate 2 --steps 60 \
    --lr 5e-3 --warmup 5 --eval-every 0 --checkpoint-every 30 --vocab-multiple 48 --out "$name" \
    "$@" > "$name.log" 2>&1 || { cat "$name.log"; exit 1; }
}
run f32
for precision in bf16 f16 bf16-pure; do
  run $precision --precision $precision --log-every 1
  run $precision-second --precision $precision --resume $precision/checkpoints/step-00000030
  for file in model.safetensors optimizer.safetensors state.json; do
    cmp $precision/checkpoints/step-00000060/$file $precision-second/checkpoints/step-00000060/$file
  done
  if grep "resume: --precision" $precision-second.log; then exit 1; fi
done
run from-pure --resume bf16-pure/checkpoints/step-00000030
run to-pure --resume f32/checkpoints/step-00000030 --precision bf16-pure
grep -q "resume: --precision was bf16-pure when the checkpoint was written, now it is f32" \
  from-pure.log
echo "resumed runs end alike"

python3 - << 'END'
import json
from run_files import lines_of, losses_of, summary_of

f32 = summary_of("f32")
assert f32["precision"] == "f32" and "skipped_steps" not in f32, f32
start = losses_of("bf16")[0]
assert f32["val_loss"] < 0.7 * start, (f32, "it must learn")
for name, tolerance in {"bf16": 0.03, "f16": 0.03, "bf16-pure": 0.08, "from-pure": 0.08,
                        "to-pure": 0.08}.items():
    summary = summary_of(name)
    assert abs(summary["val_loss"] - f32["val_loss"]) < tolerance, (name, summary, f32)
assert summary_of("bf16-pure")["precision"] == "bf16-pure"
# Rounded products give another loss from the first step on.
assert losses_of("bf16")[0] != losses_of("f16")[0]

f16 = [line for line in lines_of("f16") if "loss" in line]
assert all(line["loss_scale"] > 0 for line in f16), f16[0]
assert summary_of("f16")["skipped_steps"] == f16[-1]["skipped_steps"]
assert "loss_scale" not in lines_of("bf16")[0]

def dtypes(run, file):
    with open(f"{run}/checkpoints/step-00000060/{file}.safetensors", "rb") as f:
        header = json.loads(f.read(int.from_bytes(f.read(8), "little")))
    return {name: entry["dtype"] for name, entry in header.items() if name != "__metadata__"}

assert set(dtypes("bf16", "model").values()) == {"F32"}
assert set(dtypes("bf16-pure", "model").values()) == {"BF16"}
pure = dtypes("bf16-pure", "optimizer")
assert pure["master.wte.weight"] == "F32" and "master.wte.weight" not in dtypes("from-pure", "optimizer")
END
echo "every precision learns as f32 does"
