#!/usr/bin/env bash
# What `trireme-train gpt` promises beside a checkpoint: a sample, summary.json, metrics.jsonl, and
# weights that another run can start from.
#
# usage: gpt_test.sh TRIREME TRIREME-TRAIN
# shellcheck source=tests/train/text_model.sh
source "$(dirname "${BASH_SOURCE[0]}")/text_model.sh"
command -v python3 > /dev/null || { echo "skipped: python3 is not in PATH"; exit 77; }

run() { # run NAME FLAGS...
  must_run gpt "$@" --data text --layers 1 --heads 2 --dim 32 --context 16
}
train_flags=(--steps 80 --lr 1e-2 --warmup 5 --eval-every 40 --log-every 10 --dropout 0.1)
run first "${train_flags[@]}" "${sample_flags[@]}"
has_learnt first

run recomputed "${train_flags[@]}" --recompute-blocks
run second --init-from first/checkpoints/step-00000080/model.safetensors --steps 1 --eval-every 1
python3 - << 'END'
from run_files import lines_of, summary_of

summary = summary_of("first")
assert summary.keys() >= {"final_loss", "val_loss", "tokens_per_second", "steps", "world_size",
                          "wall_seconds", "peak_memory_bytes"}, summary
assert not summary.keys() & {"accuracy", "samples_per_second"}, summary
assert (summary["steps"], summary["world_size"]) == (80, 2)
assert summary["tokens_per_second"] > 0 and summary["peak_memory_bytes"] > 0

lines = lines_of("first")
steps = [line for line in lines if "loss" in line]
assert [line["step"] for line in steps] == list(range(10, 81, 10))
for line in steps:
    assert line.keys() >= {"step", "time", "loss", "learning_rate", "grad_norm", "step_seconds",
                           "tokens_per_second"}, line
assert steps[-1]["loss"] < 1 < steps[0]["loss"], "it must learn"
validations = [line for line in lines if "val_loss" in line]
assert [line["step"] for line in validations] == [0, 40, 80]
assert summary["val_loss"] == validations[-1]["val_loss"]

losses = [line.get("loss", line.get("val_loss")) for line in lines]
again = [line.get("loss", line.get("val_loss")) for line in lines_of("recomputed")]
assert again == losses, (again, losses)

start = lines_of("second")[0]
assert start["step"] == 0
assert start["val_loss"] == summary["val_loss"], (start, summary["val_loss"])
END
echo "the second run starts where the first one ended"
