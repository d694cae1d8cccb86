#!/usr/bin/env bash
# What `trireme-train lstm` promises: two ranks learn a text, say it, and leave weights from which
# another run goes on.
#
# usage: lstm_test.sh TRIREME TRIREME-TRAIN
# shellcheck source=tests/train/text_model.sh
source "$(dirname "${BASH_SOURCE[0]}")/text_model.sh"
command -v python3 > /dev/null || { echo "skipped: python3 is not in PATH"; exit 77; }

run() { # run NAME FLAGS...
  must_run lstm "$@" --data text --layers 2 --dim 32 --context 16
}
run first --steps 500 --lr 1e-2 --warmup 5 --eval-every 250 --log-every 50 --dropout 0.1 \
  "${sample_flags[@]}"
has_learnt first

run second --init-from first/checkpoints/step-00000500/model.safetensors --steps 1 --eval-every 1
python3 - << 'END'
from run_files import lines_of, summary_of

summary = summary_of("first")
assert (summary["steps"], summary["world_size"]) == (500, 2)
steps = [line for line in lines_of("first") if "loss" in line]
assert steps[-1]["loss"] < 1 < steps[0]["loss"], "it must learn"
start = lines_of("second")[0]
assert start["step"] == 0
assert start["val_loss"] == summary["val_loss"], (start, summary["val_loss"])
END
echo "the second run starts where the first one ended"
