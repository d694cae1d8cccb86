#!/usr/bin/env bash
# Every row of the op table with its operands on the device, against the same references as on the
# CPU; the autograd tests there; attention, optimizers, long sorts and whole steps against the CPU's.
# shellcheck source=tests/gpu/parts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
[ -x "$BIN/ops_test" ] || skip "the tests were not built"
export TRIREME_TEST_DEVICE=$DEVICE
table='Table/*'
[ "$QUICK" = 1 ] && table='Table/Op.EqualsReference/*softmax*:Table/OpGradient.*/*norm*'
sharded "$BIN/ops_test" --gtest_filter="$table" --gtest_brief=1
# What either cuDNN or our own kernels may compute, by each of them.
if is_gpu; then
  for whose in cudnn own; do
    sharded env TRIREME_CUDNN_OR_OWN=$whose "$BIN/ops_test" --gtest_brief=1 \
      --gtest_filter='Table/*batch_norm*:Table/*pool2d*:Table/*lstm*:Table/*gru*:Table/*rnn*'
  done
fi
check "$BIN/autograd_test" --gtest_brief=1
if is_gpu; then
  # All but what bad_input.sh runs, and GpuRanks, which needs two GPUs.
  check "$BIN/gpu_test" --gtest_filter='-GpuErrors.*:GpuIndexErrors.*:GpuRanks.*' --gtest_brief=1
fi
finish
