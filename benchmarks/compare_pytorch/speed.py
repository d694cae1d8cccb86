#!/usr/bin/env python3
"""Runs the benchmarks of training steps beside their PyTorch peers and judges the ratios.

usage: speed.py --bin DIR [--device cpu|cuda] [--rounds 2] [--only TEXT]... [--quick]

Each row runs ours and its peers in turn, then all of them again in the opposite order, as often as
--rounds says; what counts is the median. What a command printed in a round is also taken for later
rows that name the same one. Prints a table and ends with 1 where a row misses what it
must reach or a command fails. What is not a ratio holds for one H200 and is judged on one only.
--quick takes small models and few steps, to try the commands, and judges nothing.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def rows_for_cuda(quick):
    """The rows of the table: docs/measurements.md, "On an H200"."""
    gpt2 = ["--size", "gpt2", "--vocab-multiple", "128", "--precision", "bf16"]
    xl = ["--size", "gpt2-xl", "--vocab-multiple", "128", "--precision", "bf16", "--batch", "16"]
    resnet = ["--depth", "50", "--stem", "imagenet", "--classes", "1000", "--size", "224",
              "--precision", "bf16", "--batch", "256"]
    large, small, many = ["--batch", "64"], ["--batch", "4"], ["--steps", "2000"]
    lstm = ["--precision", "bf16", "--steps", "200"]
    if quick:
        gpt2 = ["--layers", "2", "--precision", "bf16", "--steps", "3"]
        xl = gpt2 + ["--batch", "2"]
        resnet = ["--depth", "18", "--precision", "bf16", "--batch", "16", "--steps", "3"]
        large, small, many = ["--batch", "8"], ["--batch", "2"], ["--steps", "10"]
        lstm = ["--precision", "bf16", "--hidden", "64", "--time", "8", "--steps", "3"]
    steps = [] if quick else ["--steps", "40"]
    gpt = ["training_step_benchmark", "--ddp", "off"] + gpt2
    peer = ["gpt_step.py"] + gpt2
    return [
        Row("GPT-2 124M, batch 64, bf16, tok/s", gpt + large + steps,
            {"compile": peer + large + steps + ["--compile"], "eager": peer + large + steps},
            musts={"compile": 1.0}, least=470_000, goal="620,000"),
        Row("GPT-2 124M, batch 64: peak memory, MiB", gpt + large + steps,
            {"compile": peer + large + steps + ["--compile"]}, number="peak_mib",
            at_most={"compile": 1.0}, goal="formula + 5 %"),
        Row("GPT-2 124M, batch 4, graph, tok/s", gpt + small + steps + ["--graph"],
            {"eager": peer + small + steps,
             "CUDA graphs": peer + small + steps + ["--cuda-graphs"]},
            musts={"eager": 1.5, "CUDA graphs": 1.0}, goal="2 x eager"),
        Row("GPT-2 124M, batch 4, without graph, tok/s", gpt + small + steps,
            {"eager": peer + small + steps}),
        Row("GPT-2 1558M, batch 16, bf16, tok/s",
            ["training_step_benchmark", "--ddp", "off"] + xl,
            {"compile": ["gpt_step.py"] + xl + ["--compile"]}, least=47_700, goal="57,000"),
        Row("ResNet-50, 224, batch 256, bf16, images/s", ["resnet_step_benchmark"] + resnet + steps,
            {"eager": ["resnet_step.py"] + resnet + steps}, musts={"eager": 1.0}, goal="6,000"),
        Row("ResNet-50, whose batch norms and pooling, images/s",
            ["resnet_step_benchmark"] + resnet + steps,
            {"our own": ["TRIREME_CUDNN_OR_OWN=own", "resnet_step_benchmark"] + resnet + steps,
             "cuDNN's": ["TRIREME_CUDNN_OR_OWN=cudnn", "resnet_step_benchmark"] + resnet + steps}),
        Row("ResNet-50, evaluation, images/s",
            ["resnet_step_benchmark", "--evaluate"] + resnet + steps,
            {"eager": ["resnet_step.py", "--evaluate"] + resnet + steps,
             "not joined": ["TRIREME_CUDNN_OR_OWN=own", "resnet_step_benchmark", "--evaluate"]
                           + resnet + steps}),
        Row("MLP, batch 128, graph, images/s", ["mlp_step_benchmark", "--graph"] + many,
            {"eager": ["mlp_step.py"] + many,
             "CUDA graphs": ["mlp_step.py", "--cuda-graphs"] + many},
            musts={"eager": 2.0}),
        Row("LSTM 2 x 512, 64 steps, batch 32, bf16, tok/s", ["lstm_step_benchmark"] + lstm,
            {"eager": ["lstm_step.py"] + lstm,
             "our own": ["TRIREME_CUDNN_OR_OWN=own", "lstm_step_benchmark"] + lstm,
             "our own, graph": ["TRIREME_CUDNN_OR_OWN=own", "lstm_step_benchmark", "--graph"]
                               + lstm,
             "cuDNN's": ["TRIREME_CUDNN_OR_OWN=cudnn", "lstm_step_benchmark"] + lstm}),
        op_row("add_forward_backward"), op_row("gelu_forward_backward"),
        Row("DDP around GPT-2 124M on one rank, % of a step",
            ["training_step_benchmark", "--ddp", "both"] + gpt2 + large, number="ddp_percent",
            most=0.5),
        kernel_row("between_residual_layer_norm", quick),
        kernel_row("between_residual_layer_norm_backward", quick),
        kernel_row("residual_layer_norm", quick), kernel_row("residual_layer_norm_backward", quick),
        kernel_row("residual_rms_norm", quick), kernel_row("residual_rms_norm_backward", quick),
    ]


def rows_for_cpu(quick):
    few = ["--steps", "2", "--warmup", "1", "--threads", "2"] if quick else ["--threads", "2"]
    tiny = ["--layers", "1", "--dim", "64", "--context", "32"] if quick else []
    images = ["--batch", "4"] if quick else []
    gpt = ["training_step_benchmark", "--ddp", "off"] + few + tiny
    peer = ["gpt_step.py"] + few + tiny
    half = ["--precision", "bf16"]
    return [
        Row("GPT 4 x 256, bf16, tok/s", gpt + half, {"autocast": peer + half, "our f32": gpt},
            musts={"autocast": 1.5, "our f32": 2.0}),
        Row("GPT 4 x 256, f32, tok/s", gpt, {"eager": peer}, musts={"eager": 1.3}),
        Row("ResNet-18, 32 x 32, batch 64, f32, images/s", ["resnet_step_benchmark"] + few + images,
            {"eager": ["resnet_step.py"] + few + images}, musts={"eager": 1.0}),
        Row("MLP, batch 128, f32, images/s", ["mlp_step_benchmark"] + few,
            {"eager": ["mlp_step.py"] + few}, musts={"eager": 1.3}),
        Row("LSTM 2 x 512, 64 steps, batch 32, f32, tok/s", ["lstm_step_benchmark"] + few,
            {"eager": ["lstm_step.py"] + few}, musts={"eager": 1.2}),
        op_row("add_forward_backward", 0.1), op_row("gelu_forward_backward", 0.1),
        Row("DDP on one rank, % of a step",
            ["training_step_benchmark", "--ddp", "both"] + few + tiny, number="ddp_percent"),
    ] + ([] if quick else [
        memory_row("AdamW, 100 M parameters", "adamw_step"),
        memory_row("layer_norm, forward and backward, 64 MiB", "layer_norm_(rows|gradients)_f32"),
        memory_row("softmax, forward and backward, 64 MiB", "softmax_(rows|gradients)_f32"),
        memory_row("gelu, forward and backward, 64 MiB", "gelu_(rows|gradients)_f32"),
        memory_row("cross_entropy, forward and backward, 64 MiB",
                   "cross_entropy_(rows|gradients)_f32"),
        memory_row("cross_entropy in place, 64 MiB", "cross_entropy_inplace_f32"),
    ])


def shown(value):
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


class Row:
    """Something measured; `musts` are least ratios to peers, `at_most` largest ones, `least` and
    `most` bounds of our own number."""

    def __init__(self, name, ours, peers=None, number="per_second", musts=None, at_most=None,
                 least=None, most=None, goal="", peer_number=None):
        self.name, self.ours, self.peers, self.number = name, ours, peers or {}, number
        self.musts, self.at_most, self.least, self.most = musts or {}, at_most or {}, least, most
        self.goal, self.peer_number = goal, peer_number or number

    def judge(self, ours, peers, on_h200):
        """The verdicts, one text per bound; those that were missed begin with MISSED."""
        verdicts = []
        for bounds, sign in ((self.musts, 1), (self.at_most, -1)):
            for peer, bound in bounds.items():
                ratio = ours / peers[peer]
                kept = sign * (ratio - bound) >= 0
                verdicts.append(f"{'' if kept else 'MISSED '}{'>=' if sign > 0 else '<='} "
                                f"{bound:.2f} x {peer}")
        for bound, sign in ((self.least, 1), (self.most, -1)):
            if bound is None:
                continue
            text = f"{'>=' if sign > 0 else '<='} {bound:,}"
            absolute = sign > 0  # a share of a step is the same anywhere, a rate is not
            if absolute and not on_h200:
                verdicts.append(f"{text} (not judged: not an H200)")
            else:
                verdicts.append(f"{'' if sign * (ours - bound) >= 0 else 'MISSED '}{text}")
        return verdicts


def op_row(name, share=1 / 3):
    return Row(f"op overhead, {name}, ns", ["op_overhead_benchmark"], {"eager": ["op_overhead.py"]},
               number=name, at_most={"eager": share})


def memory_row(name, kernel):
    """Bytes per second beside those of copies; the streamed one only writes what it writes."""
    def of(names):
        return ["kernels_benchmark", f"--benchmark_filter=^{names}(/65536)?$"]
    return Row(f"{name}, GB/s", of(kernel),
               {"memcpy": of("memcpy"), "streamed copy": of("streamed_copy")},
               number="GB/s", musts={"memcpy": 0.85})


def kernel_row(name, quick):
    few = ["--batch", "1", "--context", "256", "--vocab", "1024"] if quick else []
    return Row(f"{name}, GB/s", ["gpt_kernels_benchmark", "--only", "residual"] + few, number=name,
               least=3_500)


class Runner:
    def __init__(self, options):
        self.options = options
        self.hardware = ""
        self.measured = {}  # by round and command

    def measure(self, round_number, words):
        """What a command printed in that round, as numbers by name."""
        key = (round_number, *words)
        if key not in self.measured:
            self.measured[key] = self.run_command(words)
        return self.measured[key]

    def run_command(self, words):
        device = self.options.device
        # As PyTorch by default: gradients of attention and convolution may add in any order.
        environment = {**os.environ, "TRIREME_DETERMINISTIC": "0"}
        while "=" in words[0]:  # NAME=value before the command
            name, value = words[0].split("=", 1)
            environment[name] = value
            words = words[1:]
        if words[0].endswith(".py"):
            command = [sys.executable, os.path.join(HERE, words[0]), "--device", device, "--json"]
        elif words[0] in ("op_overhead_benchmark", "kernels_benchmark"):
            command = [os.path.join(self.options.bin, words[0]), "--benchmark_format=json"]
            if words[0] == "op_overhead_benchmark":
                command.append(f"--device={device}")
        else:
            command = [os.path.join(self.options.bin, words[0]), "--device", device, "--json"]
        done = subprocess.run(command + words[1:], capture_output=True, text=True, check=False,
                              env=environment)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command + words[1:])} ended with {done.returncode}: "
                               f"{done.stderr.strip()[-600:]}")
        if words[0] == "op_overhead_benchmark":
            runs = json.loads(done.stdout)["benchmarks"]
            # A counter of seconds times 1e-9, see the benchmark.
            return {run["name"].split("/")[0]: run["ns_per_op"] for run in runs}
        if words[0] == "kernels_benchmark":
            runs = json.loads(done.stdout[done.stdout.index("{"):])["benchmarks"]
            seconds = [1e-9 * run["real_time"] for run in runs]
            return {"GB/s": sum(run["GB/s"] * s for run, s in zip(runs, seconds)) / sum(seconds)}
        lines = done.stdout.strip().splitlines()
        print("   ", "\n    ".join(lines[:-1]), flush=True)
        result = json.loads(lines[-1])
        if not words[0].endswith(".py"):
            self.hardware = result.get("hardware", self.hardware)
        return result

    def measure_row(self, row):
        """Medians: ours, {peer: value}."""
        commands = [("", row.ours)] + list(row.peers.items())
        values = {name: [] for name, _ in commands}
        for i in range(self.options.rounds):
            for name, words in commands if i % 2 == 0 else reversed(commands):
                result = self.measure(i, words)
                values[name].append(result[row.peer_number if name else row.number])
        medians = {name: statistics.median(v) for name, v in values.items()}
        return medians.pop(""), medians


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True, help="folder of the benchmarks")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", action="append", default=[],
                        help="rows with this text in their name; may be given several times")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.rounds = 1
    rows = (rows_for_cpu if options.device == "cpu" else rows_for_cuda)(options.quick)
    runner = Runner(options)
    table, failed = [], False
    for row in rows:
        if options.only and not any(text in row.name for text in options.only):
            continue
        print(f"== {row.name}", flush=True)
        try:
            ours, peers = runner.measure_row(row)
        except RuntimeError as error:
            print(f"    {error}", flush=True)
            table.append((row.name, "failed", "", "see above", row.goal))
            failed = True
            continue
        verdicts = row.judge(ours, peers, "H200" in runner.hardware)
        failed = failed or (not options.quick and any(v.startswith("MISSED") for v in verdicts))
        beside = ", ".join(f"{name} {shown(value)} ({ours / value:.2f} x)"
                           for name, value in peers.items())
        print(f"    = {shown(ours)}" + (f"; {beside}" if beside else ""), flush=True)
        table.append((row.name, shown(ours), beside,
                      "not judged" if options.quick and verdicts else "; ".join(verdicts), row.goal))
    print(f"\n{runner.hardware}\n\n| what | Trireme | beside it (ratio) | must | goal |\n"
          "|---|---|---|---|---|")
    for line in table:
        print("| " + " | ".join(line) + " |")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
