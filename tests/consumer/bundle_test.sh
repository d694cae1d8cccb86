#!/usr/bin/env bash
# The bundle on a machine that has glibc and nothing else: training on two ranks below a root folder
# of just that.
#
# usage: bundle_test.sh BUNDLE.SH BIN-DIR
set -euo pipefail
bundle=$1 bin=$2

command -v patchelf >/dev/null || { echo "skipped: patchelf is not installed"; exit 77; }
unshare -m mount --help >/dev/null 2>&1 || { echo "skipped: may not make a mount namespace"; exit 77; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $1"; exit 1; }

root=$work/machine
mkdir -p "$work/build/bin"
ln -s "$bin/trireme" "$bin/trireme-train" "$work/build/bin/"
"$bundle" "$work/build" "$root/bundle" trireme trireme-train || fail "the bundle was not made"

# A machine with another libc of the same version; the folder lies elsewhere than it was made.
mkdir -p "$root"/{lib64,proc,dev,tmp}
cp -L /lib64/ld-linux-x86-64.so.2 "$root/lib64/"
for name in c m pthread dl rt resolv util; do
  library=$(ldconfig -p | awk -v name="lib$name.so." 'index($1, name) == 1 && !seen++ {print $NF}')
  if [ -n "$library" ]; then cp -L "$library" "$root/lib64/"; fi
done
mv "$root/bundle" "$root/moved"
seq 20000 >"$root/numbers.txt"

# shellcheck disable=SC2016  # expanded by the inner shell
unshare -m sh -c 'mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && shift &&
  exec "$@"' sh "$root" \
  env -i LD_LIBRARY_PATH=/lib64 "$(command -v chroot)" "$root" /moved/bin/trireme run -n 2 --run-id bundle \
  --log-dir /tmp/runs --metrics-port off -- /moved/bin/trireme-train gpt --data /numbers.txt \
  --layers 1 --heads 2 --dim 32 --context 32 --batch 4 --steps 3 ||
  fail "two ranks could not train from the bundle"
[ -s "$root/tmp/runs/bundle/summary.json" ] || fail "no summary: $(ls -R "$root/tmp/runs")"

# Its script for GPUs finds what it needs in the folder, and works where there is no GPU.
(cd "$work" && "$root/moved/gpu/run.sh" --device cpu --quick --only doctor,bad_input --log logs) ||
  fail "gpu/run.sh of the bundle"
for module in parity speed step_timing models; do
  [ -s "$root/moved/compare_pytorch/$module.py" ] || fail "compare_pytorch/$module.py is missing"
done

# A library that is nowhere is named, not left out.
echo 'int missing() { return 1; }' >"$work/missing.c"
gcc -shared -fPIC -o "$work/libmissing.so" "$work/missing.c"
echo 'int missing(); int main() { return missing(); }' >"$work/needs.c"
gcc -o "$work/build/bin/needs" "$work/needs.c" -L"$work" -lmissing
if "$bundle" "$work/build" "$work/other" trireme needs 2>"$work/errors"; then fail "a missing library went unseen"; fi
grep -q 'libmissing.so => not found' "$work/errors" || fail "$(cat "$work/errors")"
