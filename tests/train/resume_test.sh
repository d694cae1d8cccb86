#!/usr/bin/env bash
# A resumed run ends with the weights of an uninterrupted one, bit for bit, dropout included;
# SIGTERM to the launcher leaves a checkpoint to resume from; and one run at a time has a directory.
# Averages of running statistics resume as those of weights do.
#
# usage: resume_test.sh TRIREME TRIREME-TRAIN
set -euo pipefail
trireme=$1 train=$2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
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
# says NAME TEXT: the run's log must hold TEXT.
says() {
  grep -qF -- "$2" "$1.log" || { cat "$1.log"; echo "'$2' is missing in the log of $1"; exit 1; }
}
run whole --checkpoint-every 10 --ema 0.9
run second --resume whole/checkpoints/step-00000010 --log-every 1 --ema 0.9
# A run that started anew would end with the same weights.
says second "resuming from step 10 of whole/checkpoints/step-00000010"
[ "$(grep -o '"step":[0-9]*' second/metrics.jsonl | head -1)" = '"step":11' ]
for file in model.safetensors optimizer.safetensors state.json; do
  cmp whole/checkpoints/step-00000020/$file second/checkpoints/step-00000020/$file
done
if grep 'uninterrupted run' second.log; then exit 1; fi
grep -q '"ema.wte.weight"' whole/checkpoints/step-00000020/optimizer.safetensors
echo "resumed weights and their averages are equal"

validation() { grep -o '"val_loss":[^,}]*' "$1/metrics.jsonl" | tail -1; }
run plain
cmp whole/checkpoints/step-00000020/model.safetensors plain/checkpoints/step-00000020/model.safetensors
[ "$(validation whole)" = "$(validation second)" ]
if [ "$(validation whole)" = "$(validation plain)" ]; then echo "averages were not validated"; exit 1; fi
run late --resume plain/checkpoints/step-00000020 --steps 21 --ema 0.9
says late "has no averages of weights; --ema begins with its weights"
echo "averages are validated and change no weight"

# Batch norm's running statistics differ between the ranks; what is saved and judged is rank 0's.
if command -v python3 > /dev/null; then
  PYTHONDONTWRITEBYTECODE=1 python3 "$here/make_idx.py" images
  learn() { # learn NAME FLAGS...: 12 steps of a ResNet on two ranks
    local name=$1
    shift
    "$trireme" run -n 2 --run-id "resume-test-$$-$name" --metrics-port off -- "$train" resnet \
      --data images --width 4 --batch 20 --steps 12 --warmup 5 --eval-every 0 --out "$name" "$@" \
      > "$name.log" 2>&1 || { cat "$name.log"; exit 1; }
  }
  learn net --checkpoint-every 6 --ema 0.9
  learn net-second --resume net/checkpoints/step-00000006 --ema 0.9
  says net-second "resuming from step 6 of net/checkpoints/step-00000006"
  for file in model.safetensors optimizer.safetensors state.json; do
    cmp net/checkpoints/step-00000012/$file net-second/checkpoints/step-00000012/$file
  done
  grep -q '"ema.[a-z0-9._]*running_var"' net/checkpoints/step-00000012/optimizer.safetensors
  learn net-plain
  cmp net/checkpoints/step-00000012/model.safetensors \
    net-plain/checkpoints/step-00000012/model.safetensors
  [ "$(validation net)" = "$(validation net-second)" ]
  if [ "$(validation net)" = "$(validation net-plain)" ]; then echo "not judged"; exit 1; fi
  echo "averages of running statistics are resumed and judged, too"
fi

head -c 4000 text > shorter
run other --resume whole/checkpoints/step-00000010 --seed 99 --batch 16 --data shorter
says other "resume: the averages of weights in whole/checkpoints/step-00000010 are dropped"
says other "resume: --seed was 1337 when the checkpoint was written, now it is 99"
says other "resume: --batch was 8 when the checkpoint was written, now it is 16"
says other "resume: --data was text when the checkpoint was written, now it is shorter"
says other "resume: the number of training samples was "
echo "other data is warned of"

"$trireme" run -n 2 --run-id "resume-test-$$-stopped" --metrics-port off -- "$train" gpt --data text \
  --layers 1 --heads 2 --dim 32 --context 16 --batch 8 --steps 100000000 --log-every 1 \
  --eval-every 0 --out stopped > stopped.log 2>&1 &
launcher=$!
until grep -q '^step 3/' stopped.log; do kill -0 $launcher; done

# A second run must not delete what the first one writes.
code=0
"$train" gpt --data text --layers 1 --heads 2 --dim 32 --context 16 --batch 8 --steps 1 \
  --out stopped > second_run.log 2>&1 || code=$?
if [ $code != 71 ] || ! grep -q "another run writes to stopped/checkpoints, process " second_run.log; then
  cat second_run.log
  echo "exit code $code, wanted 71"
  exit 1
fi

kill -TERM $launcher
code=0
wait $launcher || code=$?
[ $code = 75 ] || { cat stopped.log; echo "exit code $code, wanted 75"; exit 1; }
[ -n "$(ls stopped/checkpoints)" ] || { cat stopped.log; echo "no checkpoint"; exit 1; }
echo "stopped with a checkpoint"
