#!/usr/bin/env bash
# Prints the Debian packages that hold the shared libraries of programs, one per line. So a runtime
# image gets what the build linked, whatever the release calls it.
#
# usage: list_runtime_packages.sh PROGRAM...
set -euo pipefail

ldd "$@" | awk '$2 == "=>" && $3 ~ /^\// { print $3 }' | sort -u | while read -r library; do
  file=$(realpath "$library")
  # Packages name files below /lib or /usr/lib; on merged systems both are the same folder.
  dpkg-query -S "$file" 2>/dev/null || dpkg-query -S "${file#/usr}"
done | cut -d: -f1 | sort -u
