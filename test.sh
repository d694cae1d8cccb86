#!/usr/bin/env bash
# Installs what is missing, builds, and runs the tests. Fast the second time.
#
# usage: ./test.sh [--slow] [--sanitizers] [--werror] [--cuda]
#   --slow        also what takes minutes: builds and runs the container image
#   --sanitizers  also the tests of one process and of several ranks, but over MPI, under ASan+UBSan
#                 and TSan
#   --werror      warnings are errors
#   --cuda        a build without CUDA and NCCL is an error; else each is built where it is found
#
# Ends with what was built of CUDA, and the number of tests that passed, failed and were skipped, and
# why those were.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. cmake/install_packages.sh

slow=0 sanitizers=0 werror=OFF cuda=AUTO
for argument in "$@"; do
  case $argument in
    --slow) slow=1 ;;
    --sanitizers) sanitizers=1 ;;
    --werror) werror=ON ;;
    --cuda) cuda=ON ;;
    *)
      sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"
      [ "$argument" = --help ] || exit 64
      exit 0
      ;;
  esac
done

jobs=$(nproc)  # asked now: nproc obeys OMP_NUM_THREADS, which is 1 below
reports=()
# run_tests PRESET CTEST-FLAGS...: the outcome is in the report, so that all presets run.
run_tests() {
  local preset=$1 report=$PWD/build/$1/tests.xml
  shift
  rm -f "$report"
  ctest --test-dir "build/$preset" -j "$jobs" --no-tests=error --output-on-failure \
    --output-junit "$report" --output-log "build/$preset/tests.log" "$@" |
    grep -vE '^ +Start |  Passed +[0-9.]+ sec$' || true
  reports+=("$report")
}

packages=("${BUILD_PACKAGES[@]}" "${TEST_PACKAGES[@]}")
[ $slow = 0 ] || packages+=("${IMAGE_PACKAGES[@]}")
install_packages "${packages[@]}"
install_promtool

echo "== Build and test: release"
options=("-DTRIREME_WERROR=$werror" "-DTRIREME_CUDA=$cuda" "-DTRIREME_NCCL=$cuda")
build release "${options[@]}"
if [ $slow = 1 ]; then run_tests release; else run_tests release -LE slow; fi

if [ $sanitizers = 1 ]; then
  export OMP_NUM_THREADS=1 UBSAN_OPTIONS=print_stacktrace=1
  for preset in asan tsan; do
    echo "== Build and test: $preset"
    build $preset "${options[@]}"
    # Open MPI and libgomp are not instrumented: what TSan says about their threads is not true. So
    # no test starts mpirun here, and none gets more OpenMP threads than one, whatever it asks for.
    if [ $preset = tsan ]; then export OMP_THREAD_LIMIT=1; fi
    run_tests $preset -L cpu -LE 'slow|mpi'
  done
fi

echo "== Result (full logs: build/*/tests.log)"
sed -n 's/^-- *\(CUDA: .*\)/\1/p' build/release/configure.log
[ $slow = 1 ] || echo "left out: tests that take minutes; ./test.sh --slow runs them too"
python3 tests/scripts/report.py "${reports[@]}"
