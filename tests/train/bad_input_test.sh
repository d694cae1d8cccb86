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
refuses 65 "nowhere" "${gpt[@]}" --data nowhere
refuses 65 "empty" "${gpt[@]}" --data empty
refuses 65 "context" "${gpt[@]}" --data short --context 64
refuses 64 "--steps" "${gpt[@]}" --data text --step 5
refuses 64 "--lr" "${gpt[@]}" --data text --lr fast
refuses 64 "heads" "${gpt[@]}" --data text --heads 3
refuses 64 "--data" "${gpt[@]}"
refuses 64 "gpt or mlp" "$train" gtp
refuses 64 "--batch 3" "${gpt[@]}" --data text --batch 3 --accumulate 2
refuses 65 "no-such-checkpoint" "${gpt[@]}" --data text --resume no-such-checkpoint
refuses 71 "no-such.safetensors" "${gpt[@]}" --data text --init-from no-such.safetensors
refuses 65 "short" "${gpt[@]}" --data text --init-from short
refuses 71 "/proc/no" "${gpt[@]}" --data text --out /proc/no
refuses 78 "WORLD_SIZE" env RANK=3 WORLD_SIZE=2 LOCAL_RANK=0 "${gpt[@]}" --data text
refuses 78 "TRIREME_RANK" env RANK=0 WORLD_SIZE=2 TRIREME_RANK=0 TRIREME_WORLD_SIZE=3 \
  "${gpt[@]}" --data text
refuses 1 "at fault: rank 0 on $(hostname) (loss nan)" "${gpt[@]}" --data text --steps 9 --lr 1e38 \
  --warmup 0
exit $((failures > 0))
