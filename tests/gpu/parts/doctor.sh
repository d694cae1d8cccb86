#!/usr/bin/env bash
# What the machine has: driver, GPUs, libraries and their versions.
# shellcheck source=tests/gpu/parts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
check "$BIN/trireme" doctor --device "$DEVICE"
if command -v nvidia-smi >/dev/null; then nvidia-smi; fi
finish
