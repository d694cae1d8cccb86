#!/usr/bin/env bash
# SIGTERM to the launcher pod of an MPIJob, whose entry point is PID 1 there, leaves a checkpoint.
#
# usage: mpi_stop_test.sh ENTRYPOINT TRIREME-TRAIN
set -euo pipefail
entrypoint=$1 train=$2
command -v mpirun >/dev/null || { echo "skipped: mpirun is not installed"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export SSH_KEYS=$work/keys TMPDIR=$work TRIREME_METRICS=off
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
mkdir keys
: >keys/id_rsa  # ranks of this node need no ssh
for i in $(seq 2000); do echo "line $i of a text to learn, $((i * 7919 % 1000))"; done >text

"$entrypoint" launch --oversubscribe --bind-to none -np 2 "$train" gpt --data text --layers 1 --heads 4 \
  --dim 128 --context 128 --batch 128 --steps 1000000 --log-every 1 --eval-every 0 --out run >log 2>&1 &
launcher=$!
until grep -q '^step 2/' log; do
  kill -0 $launcher 2>/dev/null || { cat log; exit 1; }
  sleep 0.05
done
kill -TERM $launcher
sleep 0.05
kill -TERM $launcher 2>/dev/null || true
code=0
wait $launcher || code=$?
if [ $code != 75 ] || [ -z "$(ls run/checkpoints)" ]; then
  cat log
  echo "exit code $code, wanted 75 and a checkpoint"
  exit 1
fi

# A rank's own failure keeps its code.
code=0
"$entrypoint" launch --oversubscribe -np 2 sh -c 'exit 65' >log 2>&1 || code=$?
[ $code = 65 ] || { cat log; echo "exit code $code, wanted 65"; exit 1; }
