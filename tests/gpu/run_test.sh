#!/usr/bin/env bash
# run.sh without a GPU: it refuses with one message and 72; with --device cpu its parts run the same
# commands; a part that fails is in the table and in the exit code. And the bundle holds what it uses.
#
# usage: run_test.sh RUN.SH BIN-DIR SOURCE-DIR
set -uo pipefail
run=$1 bin=$2 source=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 70
failures=0
failed() { echo "FAILED: $1"; failures=$((failures + 1)); }

# expect CODE TEXT ARGUMENTS...
expect() {
  local want=$1 text=$2 code=0
  shift 2
  "$run" --bin "$bin" --log "$work/logs" "$@" >out 2>&1 || code=$?
  if [ "$code" = "$want" ] && grep -qF -- "$text" out; then return; fi
  tail -n 60 out
  failed "run.sh $* ended with $code (wanted $want), wanted '$text'"
}
if [ ! -e /proc/driver/nvidia/version ]; then
  expect 72 "no usable GPU here, nothing was run"
fi
expect 64 "there is no part 'opps'" --only opps
expect 64 "has no trireme" --bin "$work"
expect 0 "sanitizer  skipped: compute-sanitizer is for GPUs" --device cpu --only sanitizer
expect 0 "bad_input  passed" --device cpu --quick --only bad_input,ranks,soak --soak 10
grep -q '^ranks *passed' out || failed "$(tail -n 40 out)"
grep -q '^soak *passed' out || failed "$(tail -n 40 out)"
grep -qF '20 losses' logs/ranks.log || failed "the ranks' losses were not compared"
expect 0 "ops        passed" --device cpu --quick --only ops
expect 0 "speed" --device cpu --quick --only speed
grep -qE '^speed +(passed|skipped: python3 has no torch)' out || failed "$(tail -n 40 out)"

# A trainer that computes something else is found.
mkdir broken
ln -s "$bin"/* broken/
rm broken/trireme-train
cat >broken/trireme-train <<TRAIN
#!/usr/bin/env bash
if [ "\${TRIREME_WORLD_SIZE:-1}" = 3 ]; then exec "$bin/trireme-train" "\$@" --seed 2; fi
exec "$bin/trireme-train" "\$@"
TRAIN
chmod +x broken/trireme-train
bin=$work/broken expect 1 "ranks      FAILED: python3" --device cpu --quick --only ranks
# So is a test that fails in one of its shares.
rm broken/ops_test
cat >broken/ops_test <<TEST
#!/usr/bin/env bash
"$bin/ops_test" "\$@" && [ "\$GTEST_SHARD_INDEX" != 0 ]
TEST
chmod +x broken/ops_test
bin=$work/broken expect 1 "ops        FAILED: " --device cpu --quick --only ops

# A doctor that says something else than nvidia-smi is found.
mkdir tools
cat >tools/nvidia-smi <<'SMI'
#!/usr/bin/env bash
echo "0, NVIDIA H200, GPU-aa, 580.65.06, 143771, 42"
SMI
cat >doctor <<'DOCTOR'
GPUs
  driver        580.65.06, for CUDA up to 13.0
  GPU 0         NVIDIA H200, GPU-aa, 00000000:17:00.0
                0 % busy, 45 C, 75 of 700 W, 0.6 of 140.4 GiB used
DOCTOR
mkdir told
ln -s "$bin"/* told/
rm told/trireme
cat >told/trireme <<TOLD
#!/usr/bin/env bash
exec cat "$work/page"
TOLD
chmod +x tools/nvidia-smi told/trireme
# told EXPRESSION CODE TEXT: the page with a change, and what becomes of the part.
told() {
  sed "$1" doctor >page
  PATH=$work/tools:$PATH bin=$work/told expect "$2" "$3" --device cpu --only doctor
}
told '' 0 "doctor     passed"
told 's/GPU-aa/GPU-bb/' 1 "the doctor's page has no 'NVIDIA H200, GPU-aa'"
told 's/580/570/' 1 "the doctor's page has no '580.65.06'"
told 's/45 C/75 C/' 1 "temperature of GPU-aa: the doctor says '75', nvidia-smi '42'"
told 's/of 140.4 GiB/of 79.6 GiB/' 1 "memory of GPU-aa in GiB: the doctor says '79.6'"
told 's/45 C, //' 1 "temperature of GPU-aa: the doctor says ''"

# Every program that the parts start is one that the bundle's target builds and holds.
while read -r program; do
  grep -qwF -- "$program" "$source/cmake/bundle.cmake" || failed "the bundle has no $program"
done < <(
  grep -ohE '[$]BIN/[a-z_-]+' "$source"/tests/gpu/parts/*.sh | sed 's|.*/||'
  grep -oE '[a-z_]+_benchmark' "$source/benchmarks/compare_pytorch/speed.py"
)
exit $((failures > 0))
