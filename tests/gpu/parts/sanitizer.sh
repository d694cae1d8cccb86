#!/usr/bin/env bash
# A part of the op table under compute-sanitizer, which finds accesses out of bounds, races in shared
# memory, and reads of memory that nobody wrote.
# shellcheck source=tests/gpu/parts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
is_gpu || skip "compute-sanitizer is for GPUs"
command -v compute-sanitizer >/dev/null || skip "compute-sanitizer is not installed"
[ -x "$BIN/ops_test" ] || skip "the tests were not built"
export TRIREME_TEST_DEVICE=$DEVICE TRIREME_TUNE=off  # what is timed would run many times
filter='Table/Op.EqualsReference/*:Table/OpGradient.*'
[ "$QUICK" = 1 ] && filter='Table/Op.EqualsReference/*softmax*:Table/Op.EqualsReference/*norm*'
for tool in memcheck racecheck initcheck; do
  echo "== $tool"
  sharded compute-sanitizer --tool "$tool" --error-exitcode 1 \
    "$BIN/ops_test" --gtest_filter="$filter" --gtest_brief=1
  # What the table's rows are too short for, and norms between products of 16 bits.
  check compute-sanitizer --tool "$tool" --error-exitcode 1 \
    "$BIN/gpu_test" --gtest_filter='GpuLargeVocabulary.*:GpuStep.AGpt*' --gtest_brief=1
done
finish
