#!/usr/bin/env bash
# What a user can get wrong gives one clear line and the documented exit code.
#
# usage: bad_input_test.sh TRIREME-TRAIN
set -uo pipefail
train=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 70
echo "a short text" > short
: > empty
head -c 4000 /dev/zero | tr '\0' 'a' > text
failures=0

# refuses CODE TEXT COMMAND...: the command must end with CODE and say TEXT in one line.
refuses() {
  local want=$1 text=$2 code=0
  shift 2
  "$@" > out 2> err < /dev/null || code=$?
  if [ $code != "$want" ] || ! grep -qF -- "$text" err || [ "$(grep -c 'error:' err)" != 1 ]; then
    echo "FAILED: $* -> exit code $code (wanted $want), wanted '$text' in one line:"
    cat err
    failures=$((failures + 1))
  fi
}
gpt=("$train" gpt --layers 1 --heads 2 --dim 16 --context 8 --steps 1)
refuses 65 "--data: open_tokens: nowhere does not exist" "${gpt[@]}" --data nowhere
refuses 65 "--data: open_images: cannot read the directory nowhere" "$train" mlp --data nowhere
refuses 65 "empty" "${gpt[@]}" --data empty
refuses 65 "context" "${gpt[@]}" --data short --context 64
refuses 64 "--steps" "${gpt[@]}" --data text --step 5
refuses 64 "--lr" "${gpt[@]}" --data text --lr fast
refuses 64 "heads" "${gpt[@]}" --data text --heads 3
refuses 64 "--data" "${gpt[@]}"
refuses 64 "gpt, lstm, mlp or resnet" "$train" gtp
refuses 64 "--batch 3" "${gpt[@]}" --data text --batch 3 --accumulate 2
refuses 64 "--cuda-graph is for GPUs" "${gpt[@]}" --data text --cuda-graph --device cpu
refuses 64 "--optimizer" "${gpt[@]}" --data text --optimizer newton
refuses 64 "--alpha is read with --optimizer rmsprop only, got --optimizer adamw" "${gpt[@]}" --data text --alpha 0.9
refuses 64 "--plateau-factor is read with --schedule plateau only" "${gpt[@]}" --data text --plateau-factor 0.3
refuses 64 "--clip-value 0.5 limits elements and --clip 1 the norm" "${gpt[@]}" --data text --clip-value 0.5
refuses 64 "--ema must be at most" "${gpt[@]}" --data text --ema 1
refuses 64 "--schedule plateau needs validations" "${gpt[@]}" --data text --schedule plateau --eval-every 0
refuses 64 "--stochastic-rounding is for weights in bf16" "${gpt[@]}" --data text --stochastic-rounding
refuses 65 "no-such-checkpoint" "${gpt[@]}" --data text --resume no-such-checkpoint
refuses 65 "--init-from: load_safetensors: cannot read no-such.safetensors, No such file" \
  "${gpt[@]}" --data text --init-from no-such.safetensors
refuses 65 "--init-from: load_safetensors: cannot read ., it is not a regular file" \
  "${gpt[@]}" --data text --init-from .
refuses 65 "short" "${gpt[@]}" --data text --init-from short
# A checkpoint of another model, and its weights alone.
"${gpt[@]}" --data text --out narrow > out 2> err || { cat err; exit 1; }
refuses 65 "wte.weight is [256, 32] but [256, 16] there" "${gpt[@]}" --data text --out narrow --dim 32
refuses 65 "in narrow/checkpoints/step-00000001; --resume never starts anew" \
  "${gpt[@]}" --data text --out narrow --dim 32
refuses 65 "in narrow/checkpoints/step-00000001/model.safetensors" "${gpt[@]}" --data text --dim 32 \
  --init-from narrow/checkpoints/step-00000001/model.safetensors
refuses 71 "/proc/no" "${gpt[@]}" --data text --out /proc/no
refuses 78 "WORLD_SIZE" env RANK=3 WORLD_SIZE=2 LOCAL_RANK=0 "${gpt[@]}" --data text
refuses 78 "TRIREME_RANK" env RANK=0 WORLD_SIZE=2 TRIREME_RANK=0 TRIREME_WORLD_SIZE=3 \
  "${gpt[@]}" --data text
refuses 64 "[rank 1] error: trireme-train gpt: --lr" env RANK=1 WORLD_SIZE=2 LOCAL_RANK=1 LOCAL_WORLD_SIZE=2 \
  MASTER_ADDR=localhost "${gpt[@]}" --data text --lr fast
# Which of the messages it is depends on the build; all of them say what runs here.
if [ ! -e /proc/driver/nvidia/version ]; then
  refuses 72 "--device cpu" "${gpt[@]}" --data text --device cuda
fi
refuses 64 "must be cpu, cuda or cuda:N, got 'tpu'" env TRIREME_DEVICE=tpu "${gpt[@]}" --data text
# Numbers that would overflow somewhere, or mean something else.
huge=4611686018427387904
for flag in --batch --accumulate --eval-batches --keep-checkpoints --dim; do
  refuses 64 "$flag must be at most" "${gpt[@]}" --data text $flag $huge
done
refuses 64 "--keep-checkpoints must be at most" "${gpt[@]}" --data text --keep-checkpoints 4294967297
refuses 64 "--bucket-mb must be at most" "${gpt[@]}" --data text --bucket-mb 9000000000000000
refuses 64 "--crop-area must be at most 1" "$train" mlp --data nowhere --crop-area 1.5
refuses 64 "--loader-threads must be at least 1" "${gpt[@]}" --data text --loader-threads 0
refuses 64 "--min-lr must be at least 0" "${gpt[@]}" --data text --min-lr -5
refuses 64 "TRIREME_BUCKET_MB must be from 1" env TRIREME_BUCKET_MB=-5 "${gpt[@]}" --data text
refuses 64 "TRIREME_METRICS must be one of auto, launcher, off" env TRIREME_METRICS=on \
  "${gpt[@]}" --data text
# Without the limit, a machine may promise more memory than it has and kill the process later.
little=(bash -c 'ulimit -v 4000000 && exec "$@"' -)
if "${little[@]}" "$train" --version > out 2> err; then
  refuses 71 "out of memory" "${little[@]}" "${gpt[@]}" --data text --batch 100000000
  refuses 71 "out of memory" "${little[@]}" "${gpt[@]}" --data text --dim 1048576
else
  echo "out of memory is left out: a sanitizer needs all addresses"
fi
ranks=(--rank 1 --world-size 2 --local-rank 1 --local-world-size 2)
refuses 78 "from RANK=0" env RANK=0 WORLD_SIZE=2 LOCAL_RANK=0 LOCAL_WORLD_SIZE=2 TRIREME_RUN_ID=a \
  "${gpt[@]}" --data text "${ranks[@]}"
refuses 78 "TRIREME_RUN_ID" "${gpt[@]}" --data text "${ranks[@]}"
refuses 64 "TRIREME_TIMEOUT_SECONDS" env TRIREME_TIMEOUT_SECONDS=0 "${gpt[@]}" --data text
refuses 1 "at fault: rank 0 on $(hostname) (loss nan)" "${gpt[@]}" --data text --steps 9 --lr 1e38 \
  --warmup 0
exit $((failures > 0))
