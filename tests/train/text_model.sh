# shellcheck shell=bash
# For tests of models that learn a text; source it with TRIREME and TRIREME-TRAIN as the first
# arguments. It goes to a folder of the test's own that holds `text` and goes away at the end.
set -euo pipefail
trireme=$1 train=$2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for _ in $(seq 300); do printf 'abcdefgh '; done > text

try() { # try MODEL NAME FLAGS...: a run on two ranks, with NAME.log
  local model=$1 name=$2
  shift 2
  "$trireme" run -n 2 --run-id "$model-test-$$-$name" --metrics-port off -- "$train" "$model" \
    --batch 8 --out "$name" "$@" > "$name.log" 2>&1
}
must_run() { # must_run MODEL NAME FLAGS...: the same, which must succeed
  try "$@" || { cat "$2.log"; exit 1; }
}
# Says `text` on behind abc. Without training, or with wrong weights, a model says anything.
# shellcheck disable=SC2034  # for the tests
sample_flags=(--sample 18 --prompt abc --temperature 0)
has_learnt() { # has_learnt NAME: the run's sample, by sample_flags, is right
  sed -n '/^--- sample ---$/,/^--- end of sample ---$/p' "$1.log" > sample
  grep -qF "defgh abcdefgh abc" sample || { cat "$1.log"; echo "the sample is wrong"; exit 1; }
}
