#!/usr/bin/env bash
# Ranks that share one GPU, which NCCL allows where each poses as a node of its own: the same losses as
# one rank with the whole batch; then peers that die, never come, or may not share. Correctness only:
# data goes over loopback and kernels of different ranks take turns.
# shellcheck source=tests/gpu/parts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
here=$(dirname "${BASH_SOURCE[0]}")
seq 20000 >text
if is_gpu; then
  hide_other_gpus
  # Each rank sets its NCCL_HOSTID itself; these are the same for all.
  export TRIREME_ALLOW_SHARED_GPU=1 NCCL_NET=Socket NCCL_SOCKET_IFNAME=lo NCCL_NVLS_ENABLE=0 \
    NCCL_MNNVL_ENABLE=0 NCCL_MAX_CTAS=2
fi
export TRIREME_DEVICE=$DEVICE
launch=("$BIN/trireme" run --log-dir runs --metrics-port off)
gpt=("$BIN/trireme-train" gpt --data text --layers 2 --heads 2 --dim 64 --context 32 --batch 12
  --schedule constant --warmup 0 --log-every 1 --eval-batches 1)

# train ID RANKS FLAGS...
train() {
  local id=$1 ranks=$2
  shift 2
  "${launch[@]}" -n "$ranks" --run-id "$id" -- "${gpt[@]}" --steps 20 --check-replicas-every 5 "$@" \
    >"$id.out" 2>&1 && return
  tail -n 30 "$id.out"
  failed "$ranks ranks ended with an error ($id)"
}
# same ID ID TOLERANCE: the losses of two runs.
same() { check python3 "$here/same_losses.py" "runs/$1/metrics.jsonl" "runs/$2/metrics.jsonl" "$3"; }

train one 1
train one-bf16 1 --precision bf16-pure
for ranks in 2 3 4; do
  train "f32-$ranks" "$ranks"
  same one "f32-$ranks" 1e-4
done
# Replayed steps are the same training; among ranks their all-reduce is part of the graph.
if is_gpu; then
  train replayed-1 1 --cuda-graph
  same one replayed-1 1e-6
  train replayed-2 2 --cuda-graph
  same f32-2 replayed-2 1e-5
fi
# Three ranks in bf16: 1/3 is no number of the type, see "Averages in 16 bits" in docs/nccl.md.
train bf16-3 3 --precision bf16-pure
same one-bf16 bf16-3 3e-2

# A rank that is killed ends all within seconds, and is named.
"${launch[@]}" -n 2 --run-id killed -- "${gpt[@]}" --steps 10000000 --eval-every 0 >killed.out 2>&1 &
agent=$!
for _ in $(seq 600); do
  [ -s runs/killed/metrics.jsonl ] && break
  sleep 0.1
done
victim=""
for process in $(pgrep -P "$agent"); do
  if tr '\0' '\n' <"/proc/$process/environ" | grep -qx RANK=1; then victim=$process; fi
done
if [ -z "$victim" ]; then
  failed "no rank 1 to kill"
  kill "$agent"
else
  ranks=$(pgrep -P "$agent")
  begun=$SECONDS
  kill -9 "$victim"
  wait "$agent"
  code=$?
  [ "$code" = 137 ] || failed "the run ended with $code, not 137, when rank 1 was killed"
  [ $((SECONDS - begun)) -le 30 ] || failed "the run took $((SECONDS - begun)) s to end"
  grep -q 'rank 1.*SIGKILL' killed.out || { tail -n 25 killed.out; failed "rank 1 is not named"; }
  for process in $ranks; do
    if kill -0 "$process" 2>/dev/null; then failed "process $process was left behind"; fi
  done
  echo "rank 1 killed: the run ended with $code after $((SECONDS - begun)) s"
fi

# Read a step late on a GPU, told as on the CPU, by all ranks.
refuses 1 "gradients are not finite at step 2" "${launch[@]}" -n 2 --run-id not-finite -- "${gpt[@]}" \
  --steps 20 --lr 1e30
alone=(--steps 1 --rank 0 --world-size 2 --local-rank 0 --local-world-size 2 --out alone)
refuses 69 "rank 1" env TRIREME_RUN_ID="alone-$$" TRIREME_TIMEOUT_SECONDS=5 "${gpt[@]}" "${alone[@]}"
if is_gpu; then
  refuses 69 "TRIREME_ALLOW_SHARED_GPU" env TRIREME_ALLOW_SHARED_GPU=0 "${launch[@]}" -n 2 \
    --run-id refused -- "${gpt[@]}" --steps 1
fi
finish
