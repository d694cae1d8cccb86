#!/usr/bin/env bash
# Every line of the speed table, Trireme and PyTorch in turns in the same run.
# shellcheck source=tests/gpu/parts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
needs_torch
[ -x "$BIN/training_step_benchmark" ] || skip "the benchmarks were not built"
flags=()
[ "$QUICK" = 1 ] && flags=(--quick)
check "$PYTHON" "$COMPARE/speed.py" --bin "$BIN" --device "$DEVICE" "${flags[@]}"
finish
