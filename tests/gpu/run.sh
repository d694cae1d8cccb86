#!/usr/bin/env bash
# shellcheck disable=SC2317  # parts are called by their names
# What needs a GPU, on a machine that has one: what `trireme doctor` finds, the op table on the device, and
# a part of it under compute-sanitizer. Works from a bundle (gpu/run.sh of the folder that the target `bundle` makes) and from a build.
#
# usage: run.sh [--bin DIR] [--only NAME,...] [--quick] [--list]
#   --bin    the programs (default: ../bin beside this script's folder)
#   --only   these parts alone; --list names them
#   --quick  short runs: seconds instead of minutes
#
# Prints what each part prints, then a table of parts: passed, failed, or skipped and why. Ends with 1
# if any failed. cuBLASLt, cuDNN and NCCL are taken from where the loader finds them; those of Python
# packages are found by themselves.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=$here/../bin only="" quick=0
parts=(doctor ops sanitizer)
while [ $# -gt 0 ]; do
  case $1 in
    --bin) bin=${2:?--bin needs a folder}; shift 2 ;;
    --only) only=,${2:?--only needs names},; shift 2 ;;
    --quick) quick=1; shift ;;
    --list) printf '%s\n' "${parts[@]}"; exit 0 ;;
    *)
      sed -n '3,/^set/{/^#/s/^# \{0,1\}//p}' "$0"
      [ "$1" = --help ] || exit 64
      exit 0
      ;;
  esac
done
if [ ! -x "$bin/ops_test" ]; then
  echo "run.sh: $bin has no ops_test; name the folder of the programs with --bin" >&2
  exit 64
fi
bin=$(cd "$bin" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Python packages bring CUDA's libraries in folders of their own.
for folder in $(python3 -c 'import glob, nvidia
for path in nvidia.__path__: print(*glob.glob(path + "/*/lib"))' 2>/dev/null); do
  export LD_LIBRARY_PATH=$folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
done

# skip REASON: ends a part that cannot run here.
skip() { echo "skipped: $1"; exit 77; }

part_doctor() { "$bin/trireme" doctor; }

# Every row of the op table with its operands on the device, against the same references.
part_ops() { TRIREME_TEST_DEVICE=cuda "$bin/ops_test" --gtest_filter='Table/*' --gtest_brief=1; }

part_sanitizer() {
  command -v compute-sanitizer >/dev/null || skip "compute-sanitizer is not installed"
  local tool filter='Table/Op.EqualsReference/*:Table/OpGradient.*'
  [ "$quick" = 1 ] && filter='Table/Op.EqualsReference/*softmax*:Table/Op.EqualsReference/*norm*'
  for tool in memcheck racecheck initcheck; do
    echo "== $tool"
    TRIREME_TEST_DEVICE=cuda compute-sanitizer --tool "$tool" --error-exitcode 1 \
      "$bin/ops_test" --gtest_filter="$filter" --gtest_brief=1 || return 1
  done
}

declare -A outcome
failed=0
for part in "${parts[@]}"; do
  if [ -n "$only" ] && [[ $only != *,$part,* ]]; then continue; fi
  echo "==== $part"
  begun=$SECONDS
  (part_"$part") 2>&1 | tee "$work/$part.log"
  case ${PIPESTATUS[0]} in
    0) outcome[$part]="passed" ;;
    77) outcome[$part]=$(grep -o '^skipped: .*' "$work/$part.log" | tail -1) ;;
    *) outcome[$part]="FAILED" failed=1 ;;
  esac
  outcome[$part]+=" ($((SECONDS - begun)) s)"
done
echo "==== Result"
for part in "${parts[@]}"; do
  [ -n "${outcome[$part]:-}" ] && printf '%-10s %s\n' "$part" "${outcome[$part]}"
done
exit "$failed"
