#!/usr/bin/env bash
# Copies the built programs and the shared libraries they need into one relocatable folder.
#
# usage: bundle.sh BUILD-DIR OUTPUT-DIR PROGRAM...
#
# OUTPUT-DIR/bin has these programs of BUILD-DIR/bin, OUTPUT-DIR/lib every library but those of glibc
# and of NVIDIA, which belong to the machine it will run on. Programs look for them in ../lib, wherever
# the folder lies. OUTPUT-DIR/gpu has run.sh, which checks a GPU with them, and OUTPUT-DIR/compare_pytorch
# what it measures beside. OUTPUT-DIR is replaced. Needs patchelf.
set -euo pipefail

if [ $# -lt 3 ] || [ ! -d "$1/bin" ]; then
  sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"
  exit 64
fi
build=$1 out=$2
shift 2
if ! command -v patchelf >/dev/null; then
  echo "bundle: needs patchelf, which is not installed; apt-get install patchelf" >&2
  exit 1
fi
source=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Of glibc, which must fit the kernel's loader, and of the driver and the CUDA Toolkit.
readonly OF_THE_MACHINE='/(ld-linux[^/]*|lib(c|m|dl|rt|pthread|resolv|util|anl|nsl|mvec|cuda|nvidia[^/]*|cudart|cublas[^/]*|cudnn[^/]*|nccl|cupti))\.so'

rm -rf "$out"
mkdir -p "$out/bin" "$out/lib"
programs=("${@/#/$build/bin/}")
cp -- "${programs[@]}" "$out/bin/"

missing=$(ldd "${programs[@]}" | grep 'not found' | sort -u || true)
if [ -n "$missing" ]; then
  echo "bundle: these libraries are not on this machine either:" >&2
  echo "$missing" >&2
  exit 1
fi
ldd "${programs[@]}" | awk '$2 == "=>" {print $3}' | sort -u | grep -Ev "$OF_THE_MACHINE" |
  while read -r library; do cp -L -- "$library" "$out/lib/"; done
chmod u+w "$out"/bin/* "$out"/lib/*
# shellcheck disable=SC2016  # $ORIGIN is for the loader: the folder of the file that has it
patchelf --set-rpath '$ORIGIN/../lib' "$out"/bin/* && patchelf --set-rpath '$ORIGIN' "$out"/lib/*

# What checks the programs on a machine with a GPU.
mkdir -p "$out/gpu" "$out/compare_pytorch"
cp -r -- "$source/tests/gpu/run.sh" "$source/tests/gpu/parts" "$out/gpu/"
cp -- "$source"/benchmarks/compare_pytorch/*.py "$out/compare_pytorch/"

newest=$(objdump -T "$out"/bin/* "$out"/lib/* 2>/dev/null | grep -o 'GLIBC_2\.[0-9]*' | sort -Vu | tail -1)
echo "bundle: ${#programs[@]} programs and $(find "$out/lib" -type f | wc -l) libraries in $out," \
  "$(du -sh "$out" | cut -f1); needs ${newest/_/ } or newer"
