#!/usr/bin/env bash
# `mpirun trireme-train` needs no launcher of ours, and computes what `trireme run` does.
#
# usage: mpirun_test.sh TRIREME TRIREME-TRAIN HAS-MPI     true if this build can speak MPI itself
set -euo pipefail
trireme=$1 train=$2 has_mpi=$3
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for tool in mpirun python3; do
  command -v $tool > /dev/null || { echo "skipped: $tool is not in PATH"; exit 77; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1 TRIREME_METRICS=off

for i in $(seq 400); do echo "line $i of a text to learn"; done > text
gpt=("$train" gpt --data text --layers 1 --heads 2 --dim 32 --context 16 --batch 8 --steps 20
  --warmup 5 --eval-every 0 --log-every 1 --check-replicas-every 10)
mpi=(mpirun --allow-run-as-root --oversubscribe --bind-to none -np 2)
"$trireme" run -n 2 --run-id "mpirun-test-$$" --metrics-port off -- "${gpt[@]}" --out ours > ours.log 2>&1 ||
  { cat ours.log; exit 1; }
# On one node ranks meet in shared memory, whoever started them, unless told otherwise.
"${mpi[@]}" "${gpt[@]}" --out theirs > theirs.log 2>&1 || { cat theirs.log; exit 1; }
if [ "$has_mpi" = true ]; then
  "${mpi[@]}" "${gpt[@]}" --backend mpi --out messages > messages.log 2>&1 ||
    { cat messages.log; exit 1; }
fi

python3 - << 'END'
import pathlib
from run_files import losses_of, summary_of

for run in filter(lambda name: pathlib.Path(name).is_dir(), ("theirs", "messages")):
    summary = summary_of(run)
    assert (summary["world_size"], summary["steps"]) == (2, 20), summary
    for a, b in zip(losses_of("ours"), losses_of(run), strict=True):
        assert abs(a - b) < 1e-4, f"{run}: {a} and {b}"
END
code=0
"${mpi[@]}" "${gpt[@]}" --data nowhere > wrong.log 2>&1 || code=$?
[ $code = 65 ] || { cat wrong.log; echo "exit code $code for a missing file, wanted 65"; exit 1; }
echo "mpirun and trireme run agree"
