"""Times training steps of a PyTorch model on the CPU: what the comparisons share."""
import statistics
import time


def median_step_seconds(steps, warmup, optimizer, loss_of):
    """The median time of a step: loss_of(), its backward, and the optimizer's step."""
    seconds = []
    for step in range(steps + warmup):
        start = time.perf_counter()
        loss_of().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step >= warmup:
            seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)
