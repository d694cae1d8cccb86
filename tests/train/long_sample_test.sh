#!/usr/bin/env bash
# Rank 0 may generate text for longer than the other ranks would wait in a collective.
#
# usage: long_sample_test.sh TRIREME TRIREME-TRAIN
set -euo pipefail
trireme=$1 train=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for i in $(seq 400); do echo "line $i of a text to learn"; done > text
TRIREME_TIMEOUT_SECONDS=1 "$trireme" run -n 2 --run-id "long-sample-test-$$" --metrics-port off -- \
  "$train" gpt --data text --layers 4 --heads 4 --dim 128 --context 128 --batch 2 --steps 1 \
  --eval-every 0 --eval-batches 1 --sample 500 --out run > log 2>&1 ||
  { echo "exit code $?"; cat log; exit 1; }
grep -q -- '--- end of sample ---' log
grep -q '"steps": 1' run/summary.json
