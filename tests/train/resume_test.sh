#!/usr/bin/env bash
# A resumed run ends with the weights of an uninterrupted one, bit for bit, dropout included; and
# SIGTERM to the launcher leaves a checkpoint to resume from.
#
# usage: resume_test.sh TRIREME TRIREME-TRAIN
set -euo pipefail
trireme=$1 train=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for i in $(seq 400); do echo "line $i of a text to learn, $((i * 7919 % 1000))"; done > text

run() { # run NAME FLAGS...: 20 steps on two ranks
  local name=$1
  shift
  "$trireme" run -n 2 --run-id "resume-test-$$-$name" --metrics-port off -- "$train" gpt --data text \
    --layers 1 --heads 2 --dim 32 --context 16 --batch 8 --accumulate 2 --dropout 0.1 --steps 20 \
    --warmup 5 --eval-every 0 --out "$name" "$@" > "$name.log" 2>&1
}
run whole --checkpoint-every 10
run second --resume whole/checkpoints/step-00000010
cmp whole/checkpoints/step-00000020/model.safetensors second/checkpoints/step-00000020/model.safetensors
cmp whole/checkpoints/step-00000020/optimizer.safetensors \
  second/checkpoints/step-00000020/optimizer.safetensors
echo "resumed weights are equal"

"$trireme" run -n 2 --run-id "resume-test-$$-stopped" --metrics-port off -- "$train" gpt --data text \
  --layers 1 --heads 2 --dim 32 --context 16 --batch 8 --steps 100000000 --log-every 1 \
  --eval-every 0 --out stopped > stopped.log 2>&1 &
launcher=$!
until grep -q '^step 3/' stopped.log; do kill -0 $launcher; done
kill -TERM $launcher
code=0
wait $launcher || code=$?
[ $code = 75 ] || { cat stopped.log; echo "exit code $code, wanted 75"; exit 1; }
[ -n "$(ls stopped/checkpoints)" ] || { cat stopped.log; echo "no checkpoint"; exit 1; }
echo "stopped with a checkpoint"
