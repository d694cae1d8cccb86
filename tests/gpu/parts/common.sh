# shellcheck shell=bash
# What the parts of run.sh share; sourced. run.sh gives BIN (programs), DEVICE, QUICK (1: small and
# short), COMPARE (benchmarks/compare_pytorch), PYTHON (one that has torch, or nothing), SOAK_SECONDS
# and WORK, an empty folder that is the current one.
set -uo pipefail
: "${BIN:?}" "${DEVICE:?}" "${QUICK:?}" "${COMPARE:?}" "${WORK:?}"
failures=0

# skip REASON: ends a part that cannot run here.
skip() { echo "skipped: $1"; exit 77; }

# failed TEXT: goes on with the part, which fails at its end.
failed() {
  echo "FAILED: $1"
  failures=$((failures + 1))
}
# The last line of a part that may have failed in the middle.
finish() { exit $((failures > 0)); }

# check COMMAND...: must succeed.
check() { "$@" || failed "$* ended with $?"; }

# sharded COMMAND...: a test program, its tests spread over processes; each must succeed.
sharded() {
  local shards i pids=() ended=0 passed
  shards=$(($(env -u OMP_NUM_THREADS nproc) / 2))
  shards=$((shards < 1 ? 1 : shards > 8 ? 8 : shards))
  for ((i = 0; i < shards; ++i)); do
    GTEST_TOTAL_SHARDS=$shards GTEST_SHARD_INDEX=$i "$@" >"shard-$i" 2>&1 &
    pids+=($!)
  done
  for ((i = 0; i < shards; ++i)); do
    wait "${pids[i]}" || { ended=$?; echo "== share $i of $shards"; cat "shard-$i"; }
  done
  passed=$(grep -hoE '^\[  PASSED  \] [0-9]+' shard-* | awk '{n += $4} END {print n + 0}')
  rm -f shard-*
  echo "$passed tests passed: $*"
  if [ "$passed" = 0 ]; then
    failed "no test passed: $*"
  elif [ "$ended" != 0 ]; then
    failed "$* ended with $ended"
  fi
}

# refuses CODE TEXT COMMAND...: must end with CODE and say TEXT.
refuses() {
  local want=$1 text=$2 code=0
  shift 2
  "$@" >out 2>err </dev/null || code=$?
  if [ "$code" != "$want" ] || ! grep -qF -- "$text" out err; then
    tail -n 20 out err
    failed "$* ended with $code (wanted $want), wanted '$text'"
  else
    echo "refused as it should be: $text"
  fi
}

needs_torch() {
  [ -n "${PYTHON:-}" ] || skip "python3 has no torch"
  if [ "$DEVICE" = cpu ]; then
    export OMP_WAIT_POLICY=passive OPENBLAS_NUM_THREADS=2
  else
    "$PYTHON" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' ||
      skip "the torch of $PYTHON sees no GPU"
  fi
}

is_gpu() { [ "$DEVICE" != cpu ]; }

# Hides all GPUs but the one that is meant, so that `cuda` is it for every rank and for nvidia-smi.
hide_other_gpus() {
  local index=0 visible
  if [[ $DEVICE == cuda:* ]]; then index=${DEVICE#cuda:}; fi
  IFS=, read -ra visible <<<"${CUDA_VISIBLE_DEVICES:-}"
  export CUDA_VISIBLE_DEVICES=${visible[$index]:-$index} CUDA_DEVICE_ORDER=PCI_BUS_ID
  DEVICE=cuda
}
