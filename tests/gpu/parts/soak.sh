#!/usr/bin/env bash
# Trains a GPT for SOAK_SECONDS, with checkpoints and validations in between. From the end of the
# first tenth on, neither the device's memory nor the process's may grow.
# shellcheck source=tests/gpu/parts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
seconds=$SOAK_SECONDS
[ "$QUICK" = 1 ] && seconds=$((seconds < 20 ? seconds : 20))
# Where pages are freed at random times the process's memory is never the same twice.
readonly ALLOWED_HOST_KIB=16384

seq 200000 >text
size=(--layers 1 --dim 32 --heads 2 --context 32)
if is_gpu; then
  hide_other_gpus
  size=(--layers 12 --dim 768 --heads 12 --context 512 --precision bf16)
fi
"$BIN/trireme-train" gpt --data text --device "$DEVICE" "${size[@]}" --batch 16 --steps 100000000 \
  --eval-every 200 --eval-batches 2 --checkpoint-every 400 --keep-checkpoints 1 --log-every 10 \
  --out run >train.log 2>&1 &
trainer=$!
trap 'kill "$trainer" 2>/dev/null; wait' EXIT

host_kib() { awk '$1 == "VmRSS:" {print $2}' "/proc/$trainer/status"; }
# Of the trainer alone; where its number is not nvidia-smi's (containers), of its whole GPU.
device_mib() {
  is_gpu || { echo 0; return; }
  local own
  own=$(nvidia-smi --query-compute-apps=pid,used_memory --format=csv,noheader,nounits |
    awk -F', ' -v pid="$trainer" '$1 == pid {sum += $2} END {print sum}')
  [ -n "$own" ] || own=$(nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits \
    -i "$CUDA_VISIBLE_DEVICES" | head -1)
  echo "$own"
}
begun=$SECONDS host_early="" device_early=""
while [ $((SECONDS - begun)) -lt "$seconds" ]; do
  sleep 1
  if ! kill -0 "$trainer" 2>/dev/null; then
    tail -n 20 train.log
    failed "training ended by itself after $((SECONDS - begun)) s"
    finish
  fi
  if [ -z "$host_early" ] && [ $((10 * (SECONDS - begun))) -ge "$seconds" ] &&
    grep -qs '"loss"' run/metrics.jsonl; then
    host_early=$(host_kib) device_early=$(device_mib)
    echo "after $((SECONDS - begun)) s: device $device_early MiB, process $((host_early / 1024)) MiB"
  fi
done
host_late=$(host_kib) device_late=$(device_mib)
echo "after $((SECONDS - begun)) s: device $device_late MiB, process $((host_late / 1024)) MiB"
kill -TERM "$trainer"
wait "$trainer" || failed "the trainer ended with $? when it was asked to stop"
echo "last: $(grep -s '"loss"' run/metrics.jsonl | tail -1)"
if [ -z "$host_early" ]; then failed "no step was done in the first $seconds s"; finish; fi
[ "$device_late" = "$device_early" ] || failed "device memory went from $device_early to $device_late MiB"
[ "$host_late" -le $((host_early + ALLOWED_HOST_KIB)) ] ||
  failed "the process went from $host_early to $host_late KiB"
finish
