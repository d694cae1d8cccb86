#!/usr/bin/env bash
# `trireme-train gpt --arch llama` learns, samples and resumes; a resumed run must have the options
# that no shape shows; weights of Hugging Face's layout are where a run can start.
#
# usage: llama_test.sh TRIREME TRIREME-TRAIN GOLDEN
# shellcheck source=tests/train/text_model.sh
source "$(dirname "${BASH_SOURCE[0]}")/text_model.sh"
golden=$3

says() { # says NAME TEXT: the run's log must hold TEXT
  grep -qF -- "$2" "$1.log" || { cat "$1.log"; echo "'$2' is missing in the log of $1"; exit 1; }
}
small=(--data text --arch llama --layers 1 --heads 4 --kv-heads 2 --dim 32 --context 16)

must_run gpt first "${small[@]}" --steps 80 --lr 1e-2 --warmup 5 --eval-every 40 \
  "${sample_flags[@]}"
says first "1 layers, 4 heads, 32 wide, 2 heads of keys and values, rms norm, rotary base 10000, swiglu 128 wide, no biases, untied head, context 16"
has_learnt first
echo "learnt"

must_run gpt first "${small[@]}" --steps 81
says first "resuming from step 80"
# Their shapes are alike, their functions are not.
for other in "--rope-theta 500" "--norm-eps 1e-6" "--heads 8 --kv-heads 4"; do
  # shellcheck disable=SC2086  # flags and values are words
  if try gpt first "${small[@]}" --steps 82 $other; then
    echo "a checkpoint of another model was accepted: $other"
    exit 1
  fi
  says first "resume: the model must be that of the checkpoint, 1 layers, 4 heads, 32 wide"
done
if try gpt first "${small[@]}" --steps 82 --activation gelu; then exit 1; fi
says first "h.0.mlp.c_gate.weight"
echo "other options are refused"

# Its own weights, and those of Hugging Face's layout: the config beside them says the rest.
own=first/checkpoints/step-00000081/model.safetensors
must_run gpt own "${small[@]}" --init-from $own --steps 1
for _ in $(seq 400); do printf '\1\0\2\0\3\0\12\0'; done > tokens.bin
for name in llama_tiny:19 llama_tiny_tied:11; do
  folder=$golden/${name%:*}
  must_run gpt theirs --data tokens.bin --vocab "${name#*:}" \
    --init-from "$folder/model.safetensors" --steps 1 --resume never --context 8
done
says theirs "1 layers, 3 heads, 18 wide, 1 heads of keys and values, rms norm, norm epsilon 0.001, rotary base 10000, swiglu 24 wide, no biases, context 8"

# The same through an index.
mkdir parts
cp "$golden"/llama_tiny/config.json parts
cp "$golden"/llama_tiny/model.safetensors parts/model-00001-of-00001.safetensors
head -c 3000 "$golden/llama_tiny/model.safetensors" | grep -ao '"\(model\|lm_head\)[a-z_.0-9]*"' > names
printf '{"weight_map": {%s}}' "$(awk -v file=model-00001-of-00001.safetensors \
  '{ printf "%s%s: \"%s\"", (NR > 1 ? "," : ""), $0, file }' names)" > parts/model.safetensors.index.json
for name in whole indexed; do
  path=$golden/llama_tiny/model.safetensors
  [ $name = whole ] || path=parts/model.safetensors.index.json
  must_run gpt $name --data tokens.bin --vocab 19 --init-from "$path" --steps 1 --context 8
  grep -o '"val_loss":[0-9.]*' $name/metrics.jsonl > $name.loss
done
cmp whole.loss indexed.loss

refuses() { # refuses TEXT FLAGS...
  local text=$1 code=0
  shift
  "$train" gpt --data tokens.bin --steps 1 "$@" > refused.log 2>&1 || code=$?
  if [[ $code != 6[45] ]] || ! grep -qF -- "$text" refused.log; then
    cat refused.log
    echo "code $code, wanted '$text': $*"
    exit 1
  fi
}
tiny=$golden/llama_tiny/model.safetensors
refuses "the data has a vocabulary of 50257 but --init-from one of 19; if the data was made with its tokens, give --vocab 19" \
  --init-from "$tiny"
refuses "--arch gpt2 contradicts --init-from" --vocab 19 --init-from "$tiny" --arch gpt2
refuses "--size gpt2 contradicts --init-from" --vocab 19 --init-from "$tiny" --size gpt2
refuses "h.0.mlp.c_fc.weight is [16, 40] but [16, 20] there" --vocab 19 --init-from "$tiny" \
  --intermediate 40
cp "$tiny" alone.safetensors
refuses "--init-from: llama_config: cannot read config.json" --vocab 19 --init-from alone.safetensors
refuses "kv_heads must divide heads, got 3 and 4" --kv-heads 3
refuses "--kv-heads must be at least 1" --kv-heads 0
refuses "--norm" --norm batch
refuses "even width of a head, got 5" --position rotary --dim 20
echo "wrong weights and options are refused"
