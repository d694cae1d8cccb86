#!/usr/bin/env bash
# What Prometheus reads from a running job is what the job writes to metrics.jsonl.
#
# usage: scrape_test.sh TRIREME TRIREME-TRAIN
set -euo pipefail
trireme=$1 train=$2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for tool in curl python3; do
  command -v $tool > /dev/null || { echo "skipped: $tool is not in PATH"; exit 77; }
done
work=$(mktemp -d)
launcher=
trap '[ -z "$launcher" ] || kill -KILL "$launcher" 2> /dev/null || true; rm -rf "$work"' EXIT
cd "$work"
export PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1

for i in $(seq 400); do echo "line $i of a text to learn"; done > text
"$trireme" run -n 2 --run-id "scrape-test-$$" --metrics-port 0 -- "$train" gpt --data text \
  --layers 1 --heads 2 --dim 32 --context 16 --batch 8 --steps 100000000 --log-every 1 \
  --eval-every 0 --out run > log 2>&1 &
launcher=$!
until grep -qs '^step 5/' log; do
  kill -0 $launcher || { cat log; exit 1; }
  sleep 0.05
done
url=$(grep -o 'http://[^ ]*/metrics' log | head -1)
curl --silent --show-error --fail --max-time 20 "$url" > scraped
if command -v promtool > /dev/null; then promtool check metrics < scraped; fi

kill -TERM $launcher
code=0
wait $launcher || code=$?
launcher=
[ $code = 75 ] || { cat log; echo "exit code $code, wanted 75"; exit 1; }

python3 - "scrape-test-$$" << 'END'
import re
import sys
from run_files import lines_of

PER_RANK = 8 // 2 * 16  # tokens of a step
lines = {line["step"]: line for line in lines_of("run") if "loss" in line}
series = {}
for name, labels, value in re.findall(r"^(trireme_\w+)\{(.*)\} (\S+)$",
                                      open("scraped").read(), re.MULTILINE):
    labels = dict(re.findall(r'(\w+)="([^"]*)"', labels))
    assert labels["job_id"] == sys.argv[1], labels
    if "le" not in labels and "kind" not in labels and "phase" not in labels:
        series[name, labels["rank"]] = float(value)
for rank in "01":
    step = int(series["trireme_train_step", rank])
    assert step >= 5
    assert series["trireme_train_steps_total", rank] == step
    assert series["trireme_train_tokens_total", rank] == step * PER_RANK
    assert series["trireme_rank_alive", rank] == 1
    # Both say the same of that step.
    line = lines[step]
    assert abs(series["trireme_train_loss", rank] - line["loss"]) < 1e-5, line
    assert abs(line["tokens_per_second"] * line["step_seconds"] - 2 * PER_RANK) < 1e-3, line
print("scraped at step", step)
END
