#!/usr/bin/env bash
# A request to stop leaves a checkpoint, in whatever way and however often it is delivered.
#
# usage: stop_test.sh TRIREME TRIREME-TRAIN
set -uo pipefail
trireme=$1 train=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 70
for i in $(seq 2000); do echo "line $i of a text to learn, $((i * 7919 % 1000))"; done > text
failures=0

trainer=("$train" gpt --data text --layers 1 --heads 4 --dim 128 --context 128 --batch 64
  --steps 1000000 --log-every 1 --eval-every 0)  # a step takes a tenth of a second or more

# launch LAUNCHER-FLAGS... -- FLAGS...: two ranks, whose output goes to $name.log.
launch() {
  local of_launcher=()
  while [ "$1" != -- ]; do
    of_launcher+=("$1")
    shift
  done
  : > "$name.log"
  "$trireme" run -n 2 --metrics-port off "${of_launcher[@]}" -- "${trainer[@]}" "${@:2}" \
    > "$name.log" 2>&1 &
  launcher=$!
}
start() { # start NAME FLAGS...
  name=$1
  launch --run-id "stop-test-$$-$name" -- --out "$name" "${@:2}"
}
# after TEXT: returns once the run has printed it.
after() {
  until grep -qs -- "$1" "$name.log"; do
    kill -0 $launcher 2> /dev/null || { fail "ended before '$1'"; return 1; }
    sleep 0.01
  done
}
fail() {
  echo "FAILED: $name: $*"
  tail -n 20 "$name.log"
  failures=$((failures + 1))
}
# stops CODE: the run must end with CODE and a checkpoint.
stops() {
  local code=0
  wait $launcher || code=$?
  [ $code = "$1" ] || fail "exit code $code, wanted $1"
  [ -n "$(ls "$name/checkpoints" 2> /dev/null)" ] || fail "no checkpoint"
}
ranks() { pgrep -P "$launcher"; }

for signal in TERM INT HUP USR1; do
  start $signal
  after '^step 2/'
  kill -$signal $launcher
  sleep 0.05  # two copies of one event
  kill -$signal $launcher 2> /dev/null
  stops 75
done

start everybody  # as systemd and Slurm do
after '^step 2/'
# shellcheck disable=SC2046
kill -TERM $launcher $(ranks)
sleep 0.05
# shellcheck disable=SC2046
kill -TERM $launcher $(ranks) 2> /dev/null
stops 75

# during NAME STEP FLAGS...: the validation after STEP takes seconds; a stop must not wait for its end.
for _ in $(seq 100); do cat text; done > long
during() {
  local step=$2
  start "$1" --data long --eval-batches 0 "${@:3}"
  if [ "$step" = 0 ]; then after 'run directory'; else after "^step $step/"; fi
  kill -TERM $launcher
  stops 75
  if grep -qF "step $step | validation loss" "$name.log"; then fail "stopped after the validation"; fi
}
during first 0 --eval-every 2
during middle 2 --eval-every 2
during last 2 --steps 2

name=alone
"${trainer[@]}" --out alone > alone.log 2>&1 &
launcher=$!
after '^step 2/'
kill -INT $launcher
sleep 0.05
kill -INT $launcher 2> /dev/null
stops 0

# The flags that the last words name continue the run.
name=unnamed
launch --log-dir my-runs --
after '^step 2/'
kill -TERM $launcher
wait $launcher
sed -n 's/.*stopped on request; to continue, run again with //p' unnamed.log > flags
[ "$(wc -l < flags)" = 2 ] || { fail "wanted a hint of the launcher and one of the trainer"; exit 1; }
for words in "$(grep -- --run-id flags) --" "-- $(grep -- --out flags)"; do
  name=continued
  # shellcheck disable=SC2086
  launch $words
  after 'resuming from step'
  kill -TERM $launcher
  wait $launcher
done

exit $((failures > 0))
