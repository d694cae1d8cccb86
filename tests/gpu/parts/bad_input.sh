#!/usr/bin/env bash
# What a user can get wrong with a device is one message and the documented exit code.
# shellcheck source=tests/gpu/parts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
seq 20000 >text
gpt=("$BIN/trireme-train" gpt --layers 1 --heads 1 --steps 2 --eval-batches 1 --out run --resume never)
refuses 64 "must be cpu, cuda or cuda:N, got 'tpu'" "${gpt[@]}" --data text --device tpu
refuses 78 "WORLD_SIZE" env RANK=3 WORLD_SIZE=2 LOCAL_RANK=0 "${gpt[@]}" --data text --device "$DEVICE"
is_gpu || finish

refuses 72 "there is no device cuda:63" "${gpt[@]}" --data text --device cuda:63
refuses 72 "no CUDA device is visible" env CUDA_VISIBLE_DEVICES= "${gpt[@]}" --data text --device cuda
# 4096 x 1024 x 50257 logits are more than any GPU holds; the ids are few.
head -c 20000000 /dev/zero >zeros.u16
refuses 71 "out of memory on cuda" "${gpt[@]}" --data zeros.u16 --dim 64 --context 1024 --batch 4096 \
  --device "$DEVICE"
[ -x "$BIN/gpu_test" ] || skip "the tests were not built"
check "$BIN/gpu_test" --gtest_filter='GpuErrors.*:GpuIndexErrors.*'
check env TRIREME_SYNC_DEBUG=1 "$BIN/gpu_test" --gtest_filter='GpuErrors.AFaultNamesItsOp'
finish
