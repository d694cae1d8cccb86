"""What the timed training steps share: flags, how a step is timed on the CPU and on a GPU, results.

The same rules as benchmarks/step_timing.h: on the CPU the median of single steps; on a GPU steps
are queued one behind the other and the time until the last is done is divided by their number. Runs
on PyTorch 1.13 (CPU) and 2.x; --compile and --cuda-graphs need 2.x.
"""
import json
import statistics
import sys
import time

import torch


def add_flags(parser, steps, warmup):
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--threads", type=int, default=2, help="on the CPU")
    parser.add_argument("--steps", type=int, default=steps, help="timed steps")
    parser.add_argument("--warmup", type=int, default=warmup, help="steps before them")
    parser.add_argument("--precision", choices=["f32", "bf16"], default="f32",
                        help="bf16: the forward pass under autocast")
    parser.add_argument("--compile", action="store_true", help="torch.compile the model")
    parser.add_argument("--cuda-graphs", action="store_true",
                        help='torch.compile(mode="reduce-overhead")')
    parser.add_argument("--json", action="store_true", help="a last line for scripts")


def start(options):
    """To be called before the model is made."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    # f32 means f32 on both sides.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    if is_cuda(options):
        if not torch.cuda.is_available():
            sys.exit("no CUDA device that this PyTorch can use")
        torch.cuda.set_device(torch.device(options.device).index or 0)
    if (options.compile or options.cuda_graphs) and not hasattr(torch, "compile"):
        sys.exit(f"--compile and --cuda-graphs need PyTorch 2, this is {torch.__version__}")


def is_cuda(options):
    return options.device.startswith("cuda")


def compiled(options, model):
    if options.cuda_graphs:
        return torch.compile(model, mode="reduce-overhead")
    return torch.compile(model) if options.compile else model


def fused(options):
    """Keywords of an optimizer that steps all parameters in a few kernels, where there is one."""
    old = int(torch.__version__.split(".", maxsplit=1)[0]) < 2
    return {"fused": True} if is_cuda(options) and not old else {}


def autocast(options):
    return torch.autocast("cuda" if is_cuda(options) else "cpu", torch.bfloat16,
                          enabled=options.precision == "bf16")


def seconds_per_step(options, optimizer, loss_of):
    """A step: loss_of(), its backward, and the optimizer's step."""
    def step():
        if options.cuda_graphs:
            torch.compiler.cudagraph_mark_step_begin()
        with autocast(options):
            loss = loss_of()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return seconds_per_call(options, step)


def seconds_per_call(options, step):
    for _ in range(options.warmup):
        step()
    if is_cuda(options):
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        begun = time.perf_counter()
        for _ in range(options.steps):
            step()
        torch.cuda.synchronize()
        return (time.perf_counter() - begun) / options.steps
    seconds = []
    for _ in range(options.steps):
        begun = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds)


def report(options, seconds, count, unit):
    """Prints what `count` units per step come to."""
    mode = "CUDA graphs" if options.cuda_graphs else "compile" if options.compile else "eager"
    where = (torch.cuda.get_device_name() if is_cuda(options) else f"{options.threads} threads")
    peak = torch.cuda.max_memory_allocated() / 2**20 if is_cuda(options) else 0
    print(f"PyTorch {torch.__version__} {mode}, {where}, {options.precision}: "
          f"{1e3 * seconds:.3f} ms per step, {count / seconds:,.1f} {unit}/s"
          + (f", peak {peak:.0f} MiB" if peak else ""))
    if options.json:
        print(json.dumps({"hardware": where, "version": torch.__version__, "mode": mode,
                          "precision": options.precision, "ms": 1e3 * seconds,
                          "per_second": count / seconds, "peak_mib": peak}))
