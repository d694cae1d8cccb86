#!/usr/bin/env bash
# What the machine has: driver, GPUs, libraries and their versions. Where nvidia-smi sees GPUs, the
# doctor must say the same of each.
# shellcheck source=tests/gpu/parts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
check "$BIN/trireme" doctor --device "$DEVICE" >page
cat page
if ! command -v nvidia-smi >/dev/null; then
  if is_gpu && [ "$failures" = 0 ]; then skip "nvidia-smi, to compare with, is not installed"; fi
  finish
fi
fields=index,name,uuid,driver_version,memory.total,temperature.gpu
check nvidia-smi --query-gpu="$fields" --format=csv,noheader,nounits >gpus
[ "$failures" = 0 ] || finish

# shows TEXT: is on the doctor's page.
shows() { grep -qF -- "$1" page || failed "the doctor's page has no '$1', nvidia-smi says it"; }
# near WHAT DOCTOR NVIDIA-SMI MOST: two numbers that may differ by that much, as time passes.
near() {
  awk -v a="$2" -v b="$3" -v most="$4" \
    'BEGIN { exit !(a ~ /^[0-9.]+$/ && b ~ /^[0-9.]+$/ && a - b <= most && b - a <= most) }' ||
    failed "$1: the doctor says '$2', nvidia-smi '$3'"
}
while IFS=, read -r index name uuid driver mebibytes celsius; do
  shows "$driver"
  shows "GPU $index"
  shows "$name, $uuid"
  # Behind the GPU's name: "63 % busy, 81 C, 650 of 700 W, 60.2 of 141.0 GiB used".
  state=$(grep -F -A 1 -- "$uuid" page | tail -n 1)
  near "temperature of $uuid" "$(grep -oE '[0-9]+ C' <<<"$state" | cut -d ' ' -f 1)" "$celsius" 10
  near "memory of $uuid in GiB" "$(grep -oE '[0-9.]+ GiB used' <<<"$state" | cut -d ' ' -f 1)" \
    "$(awk "BEGIN { print $mebibytes / 1024 }")" 1
done < <(sed 's/, */,/g' gpus)
finish
