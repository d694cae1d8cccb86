#!/usr/bin/env bash
# `trireme-train resnet` learns from folders of PNG files on two ranks, judges them alike with any
# number of loader threads, and says which file is damaged.
#
# usage: folder_test.sh TRIREME TRIREME-TRAIN
set -euo pipefail
trireme=$1 train=$2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
command -v python3 > /dev/null || { echo "skipped: python3 is not in PATH"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1 TRIREME_METRICS=off

python3 "$here/make_idx.py" idx
python3 "$here/make_png_folders.py" idx images
resnet=("$train" resnet --data images --image-size 8 --crop-area 1 --width 8 --batch 40 --lr 1e-2
  --warmup 5 --eval-every 0)
"$trireme" run -n 2 --run-id "folder-test-$$" --metrics-port off -- "${resnet[@]}" --steps 120 \
  --loader-threads 2 --out trained > log 2>&1 || { cat log; exit 1; }
model=$(echo trained/checkpoints/step-*/model.safetensors)
"${resnet[@]}" --steps 0 --init-from "$model" --loader-threads 3 --out judged > log 2>&1 ||
  { cat log; exit 1; }
python3 - << 'END'
from run_files import summary_of

trained, judged = summary_of("trained"), summary_of("judged")
assert trained["world_size"] == 2 and trained["accuracy"] > 0.9, trained
assert abs(trained["val_loss"] - judged["val_loss"]) < 1e-4 * (1 + judged["val_loss"]), judged
print("accuracy", trained["accuracy"])
END

# One file is cut off: the rank that reads it names it, and its exit code is that of bad data.
victim=$(find images/train/3 -name '*.png' | sort | head -n 1)
truncate -s 60 "$victim"
code=0
"$trireme" run -n 2 --run-id "folder-test-$$" --metrics-port off -- "${resnet[@]}" --steps 120 \
  --out damaged > log 2>&1 || code=$?
if [ $code != 65 ] || ! grep -q "$victim is damaged (libpng: .*); replace or remove the file" log; then
  echo "FAILED: a damaged file gave exit code $code, wanted 65 and its name:"
  cat log
  exit 1
fi
rm -r images/val
code=0
"$train" resnet --data images > log 2>&1 || code=$?
if [ $code != 65 ] || ! grep -q -- "--data: image_folder: beside train a folder val" log; then
  echo "FAILED: a missing part gave exit code $code, wanted 65:"
  cat log
  exit 1
fi
