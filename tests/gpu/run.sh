#!/usr/bin/env bash
# Everything that needs a GPU, on a machine that has one. Works from a bundle (gpu/run.sh of the folder
# that the target `bundle` makes) and from a build (tests/gpu/run.sh --bin build/release/bin).
#
# usage: run.sh [--bin DIR] [--device DEVICE] [--only NAME,...] [--skip NAME,...] [--quick]
#               [--soak SECONDS] [--log DIR] [--list]
#   --bin     the programs (default: ../bin beside this script's folder)
#   --device  cuda, cuda:N (default: cuda), or cpu: the same commands without a GPU, to try the script
#   --only    these parts alone; --list names them
#   --skip    all parts but these
#   --quick   small models and short runs: seconds instead of minutes, and speed is not judged
#   --soak    how long the soak takes (default: 600)
#   --log     folder for the parts' logs (default: gpu-logs-TIME here)
#
# The parts, in this order:
#   doctor     what the machine has
#   ops        every row of the op table, the autograd tests and whole steps on the device
#   sanitizer  a part of that under compute-sanitizer: memcheck, racecheck, initcheck
#   bad_input  wrong device, wrong index, out of memory, a kernel that faults
#   parity     losses of GPT-2 124M, an LSTM, an MLP and ResNet-50 beside PyTorch's; needs torch
#   ranks      two to four ranks on one GPU over NCCL: one rank's losses, killed and missing peers
#   soak       training for ten minutes: memory as in the first one
#   speed      every line of the speed table beside PyTorch in the same run; needs torch
#
# Prints what each part prints, then a table: passed, failed, or skipped and why. cuBLASLt, cuDNN and
# NCCL are taken from where the loader finds them; those of Python packages are found by themselves.
# Exit codes: 0 nothing failed; 1 some part failed; 64 wrong flag; 72 there is no usable GPU.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
parts=(doctor ops sanitizer bad_input parity ranks soak speed)
bin=$here/../bin only="" skip="" log=""
export DEVICE=cuda QUICK=0 SOAK_SECONDS=600
while [ $# -gt 0 ]; do
  case $1 in
    --bin) bin=${2:?--bin needs a folder}; shift 2 ;;
    --device) DEVICE=${2:?--device needs cuda, cuda:N or cpu}; shift 2 ;;
    --only) only=,${2:?--only needs names},; shift 2 ;;
    --skip) skip=,${2:?--skip needs names},; shift 2 ;;
    --quick) QUICK=1; shift ;;
    --soak) SOAK_SECONDS=${2:?--soak needs seconds}; shift 2 ;;
    --log) log=${2:?--log needs a folder}; shift 2 ;;
    --list) printf '%s\n' "${parts[@]}"; exit 0 ;;
    *)
      sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"
      [ "$1" = --help ] || exit 64
      exit 0
      ;;
  esac
done
IFS=, read -ra named <<<"$only$skip"
for name in "${named[@]}"; do
  if [ -n "$name" ] && [[ " ${parts[*]} " != *" $name "* ]]; then
    echo "run.sh: there is no part '$name'; they are ${parts[*]}" >&2
    exit 64
  fi
done
if [ ! -x "$bin/trireme" ] || [ ! -x "$bin/trireme-train" ]; then
  echo "run.sh: $bin has no trireme and trireme-train; name the folder of the programs with --bin" >&2
  exit 64
fi
BIN=$(cd "$bin" && pwd)
for COMPARE in "$here/../compare_pytorch" "$here/../../benchmarks/compare_pytorch"; do
  if [ -d "$COMPARE" ]; then break; fi
done
COMPARE=$(cd "$COMPARE" && pwd) || exit 64

PYTHON=$(for p in python3 /usr/bin/python3; do "$p" -c 'import torch' 2>/dev/null && echo "$p"; done | head -1)
# Python packages bring CUDA's libraries in folders of their own.
for folder in $("${PYTHON:-python3}" -c 'import glob, nvidia
for path in nvidia.__path__: print(*glob.glob(path + "/*/lib"))' 2>/dev/null); do
  export LD_LIBRARY_PATH=$folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
done
export BIN COMPARE PYTHON PYTHONDONTWRITEBYTECODE=1 TRIREME_METRICS=off

if [ "$DEVICE" != cpu ] && ! found=$("$BIN/trireme" doctor --device "$DEVICE"); then
  echo "$found"
  echo "run.sh: no usable GPU here, nothing was run; 'run.sh --device cpu --quick' tries the script alone" >&2
  exit 72
fi

log=${log:-gpu-logs-$(date +%Y%m%d-%H%M%S)}
mkdir -p "$log" && log=$(cd "$log" && pwd) || exit 64
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
declare -A outcome
failed=0
for part in "${parts[@]}"; do
  if [ -n "$only" ] && [[ $only != *,$part,* ]]; then continue; fi
  if [[ $skip == *,$part,* ]]; then continue; fi
  echo "==== $part"
  begun=$SECONDS
  export WORK=$work/$part
  mkdir -p "$WORK"
  (cd "$WORK" && "$here/parts/$part.sh") 2>&1 | tee "$log/$part.log"
  case ${PIPESTATUS[0]} in
    0) outcome[$part]="passed" ;;
    77) outcome[$part]=$(grep -o '^skipped: .*' "$log/$part.log" | tail -1) ;;
    *) outcome[$part]="FAILED: $(grep -oP '^FAILED: \K.*' "$log/$part.log" | head -1)" failed=1 ;;
  esac
  outcome[$part]+=" ($((SECONDS - begun)) s)"
done
{
  echo "==== Result on $DEVICE"
  for part in "${parts[@]}"; do
    [ -n "${outcome[$part]:-}" ] && printf '%-10s %s\n' "$part" "${outcome[$part]}"
  done
} | tee "$log/result.txt"
echo "logs: $log"
exit "$failed"
