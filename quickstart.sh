#!/usr/bin/env bash
# From a bare Debian 12 machine to a trained GPT: installs what is missing, builds, and trains on this
# repository's own text with two ranks. Asks nothing and downloads no data.
#
# usage: ./quickstart.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. cmake/install_packages.sh

echo "== 1/3 Packages"
install_packages "${BUILD_PACKAGES[@]}"

echo "== 2/3 Build (build/release; the first time takes minutes)"
build release trireme trireme-train

echo "== 3/3 Train a small GPT on this source tree, two ranks on one node"
run=quickstart-$(date +%Y%m%d-%H%M%S)
bin=build/release/bin
"$bin/trireme" run -n 2 --run-id "$run" -- "$bin/trireme-train" gpt --data . \
  --layers 4 --heads 4 --dim 128 --context 64 --batch 24 --steps 600 --lr 2e-3 --warmup 50 \
  --eval-batches 8 --log-every 25 --sample 400 --temperature 0.8

cat <<END

Everything of this run lies in runs/$run:
  summary.json     loss, tokens per second, memory      logs of every rank beside it
  metrics.jsonl    the same over time                   checkpoints/ weights and optimizer

Train on a text of your own, and look at all flags:
  $bin/trireme run -n 2 -- $bin/trireme-train gpt --data FILE
  $bin/trireme-train gpt --help
END
