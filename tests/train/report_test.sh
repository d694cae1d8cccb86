#!/usr/bin/env bash
# What a training run leaves behind: metrics pages, summary.json, and words about both.
#
# usage: report_test.sh TRIREME TRIREME-TRAIN
set -uo pipefail
trireme=$1 train=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 70
for i in $(seq 400); do echo "line $i of a text to learn, $((i * 7919 % 1000))"; done > text
trainer=("$train" gpt --data text --layers 1 --heads 2 --dim 32 --context 16 --batch 4 --log-every 1
  --eval-every 0 --eval-batches 1)
failures=0
fail() {
  echo "FAILED: $*"
  cat log
  failures=$((failures + 1))
}

# has_page WANTED SETTING...: whether a rank of a run with these settings has a page in /dev/shm.
has_page() {
  local wanted=$1 found=no rank page
  shift
  : > log  # the one before says step 1 too
  env "$@" "${trainer[@]}" --steps 1000000 --out page > log 2>&1 &
  rank=$!
  until grep -qs '^step 1/' log; do
    kill -0 $rank 2> /dev/null || { fail "ended: $*"; return; }
    sleep 0.01
  done
  page=$(grep -o '/dev/shm/.*metrics-0' /proc/$rank/maps)
  [ -z "$page" ] || found=yes
  kill -KILL $rank
  wait $rank 2> /dev/null
  [ $found = "$wanted" ] || fail "page with $*: $found, wanted $wanted"
  rm -f "$page"
  rm -rf page
}
has_page no TRIREME_METRICS=off
has_page yes TRIREME_METRICS=launcher
"$trireme" exporter --run-id "report-test-$$" --port 0 > busy &
exporter=$!
until grep -qs 'metrics at' busy; do sleep 0.01; done
has_page no TRIREME_METRICS_PORT="$(sed 's/.*:\([0-9]*\).*/\1/' busy)"
kill $exporter

# Running it again when it is done says so, and spares the summary of the run that trained.
"${trainer[@]}" --steps 3 --out finished > log 2>&1 || fail "exit code $?"
cp finished/summary.json before
"${trainer[@]}" --steps 3 --out finished > log 2>&1 || fail "exit code $? when done already"
grep -qF 'already trained for 3 steps; raise --steps' log || fail "did not say that it was done"
cmp before finished/summary.json || fail "the summary has changed"
rm finished/summary.json  # lost with a run that was killed in its last validation
"${trainer[@]}" --steps 3 --out finished > log 2>&1 || fail "exit code $? without a summary"
grep -q '"val_loss"' finished/summary.json || fail "no summary"

# A summary that cannot be written does not spoil a run that is complete.
mkdir -p nowhere/summary.json
"${trainer[@]}" --steps 3 --out nowhere > log 2>&1 || fail "exit code $? without a summary"
grep -q 'warning: summary: cannot write nowhere/summary.json' log || fail "no warning"

# A wrong --out is found before the first step.
mkdir -p wrong/metrics.jsonl
code=0
"${trainer[@]}" --steps 3 --out wrong > log 2>&1 || code=$?
[ $code = 71 ] || fail "exit code $code, wanted 71"
grep -q 'error: .*wrong/metrics.jsonl.*; choose another folder with --out' log || fail "no hint"

# What is not there is not shown.
"${trainer[@]}" --steps 0 --out untrained > log 2>&1 || fail "exit code $? without steps"
if grep 'checkpoints' log; then fail "named a folder that does not exist"; fi

# Only bytes can be shown.
"${trainer[@]}" --steps 1 --sample 5 --vocab 300 --out words > log 2>&1 || fail "exit code $?"
[ "$(grep -c -- '--sample is ignored' log)" = 1 ] || fail "did not say once that there is no sample"

exit $((failures > 0))
