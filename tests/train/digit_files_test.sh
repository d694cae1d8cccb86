#!/usr/bin/env bash
# Real handwritten digits as PNG files, a folder per digit: a small residual network on two ranks tells
# 97 % of 2,000 apart that it has not seen.
#
# usage: digit_files_test.sh TRIREME TRIREME-TRAIN FOLDER
#   FOLDER  MNIST's first 10,000 images as IDX files; the test skips where it is not there
set -euo pipefail
trireme=$1 train=$2 data=${TRIREME_TEST_DIGITS:-$3}
[ -d "$data" ] || { echo "skipped: no digits in $data; TRIREME_TEST_DIGITS names another folder"; exit 77; }
data=$(cd "$data" && pwd)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
command -v python3 > /dev/null || { echo "skipped: python3 is not in PATH"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1 TRIREME_METRICS=off

python3 "$here/make_png_folders.py" "$data" digits
"$trireme" run -n 2 --run-id "digit-files-$$" --metrics-port off -- "$train" resnet --data digits \
  --image-size 28 --crop-area 0.7 --width 16 --steps 200 --lr 3e-3 --eval-every 0 --out run \
  > log 2>&1 || { cat log; exit 1; }
python3 - << 'END'
from run_files import summary_of

summary = summary_of("run")
print("accuracy", summary["accuracy"])
assert summary["world_size"] == 2 and summary["accuracy"] >= 0.97, summary
END
