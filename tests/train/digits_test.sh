#!/usr/bin/env bash
# A small residual network on two ranks tells real handwritten digits apart: 98.5 % of 2,000 images
# that it has not seen.
#
# usage: digits_test.sh TRIREME TRIREME-TRAIN FOLDER
#   FOLDER  MNIST's first 10,000 images as IDX files; the test skips where it is not there
set -euo pipefail
trireme=$1 train=$2 data=${TRIREME_TEST_DIGITS:-$3}
[ -d "$data" ] || { echo "skipped: no digits in $data; TRIREME_TEST_DIGITS names another folder"; exit 77; }
data=$(cd "$data" && pwd)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1 TRIREME_METRICS=off

"$trireme" run -n 2 --run-id "digits-test-$$" --metrics-port off -- "$train" resnet --data "$data" \
  --width 16 --crop 2 --steps 500 --lr 3e-3 --eval-every 0 --out run > log 2>&1 || { cat log; exit 1; }
python3 - << 'END'
from run_files import summary_of

summary = summary_of("run")
print("accuracy", summary["accuracy"])
assert summary["world_size"] == 2 and summary["accuracy"] >= 0.985, summary
END
