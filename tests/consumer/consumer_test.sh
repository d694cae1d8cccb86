#!/usr/bin/env bash
# Installs a build, builds README.md's example against it with find_package, and trains on one and two
# ranks.
#
# usage: consumer_test.sh README BUILD-FOLDER
set -euo pipefail
readme=$1 build=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# code_block LANGUAGE: the first block of this language in README.md.
code_block() {
  awk -v fence="\`\`\`$1" '$0 == fence { inside = 1; next } /^```$/ { if (inside) exit } inside' "$readme"
}
mkdir "$work/app"
code_block cpp >"$work/app/main.cc"
code_block cmake >"$work/app/CMakeLists.txt"

cmake --install "$build" --prefix "$work/prefix" >"$work/install.log"
cmake -S "$work/app" -B "$work/app/build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_PREFIX_PATH="$work/prefix"
cmake --build "$work/app/build"
if grep -q "$build" "$work/app/build/build.ninja"; then
  echo "the installed package refers to the build folder $build"
  exit 1
fi

# last_loss COMMAND...: runs it and prints the number at the end of the last line with a loss.
last_loss() {
  local output
  output=$("$@") || { echo "failed: $*" >&2; return 1; }
  echo "$output" >&2
  sed -n 's/.*loss \([0-9.eE+-]*\)$/\1/p' <<<"$output" | tail -n 1
}
cd "$work"
for loss in "$(last_loss app/build/app)" \
  "$(last_loss prefix/bin/trireme run -n 2 --metrics-port off -- app/build/app)"; do
  if ! awk -v loss="$loss" 'BEGIN { exit !(loss != "" && loss < 0.5) }'; then
    echo "the example did not learn: its last loss is '$loss'"
    exit 1
  fi
done

# The exit codes of docs/exit_codes.md are those of a user's program too.
code=0
RANK=3 WORLD_SIZE=2 LOCAL_RANK=0 app/build/app || code=$?
[ $code = 78 ] || { echo "a contradicting environment gave exit code $code, wanted 78"; exit 1; }
