"""Many MLPs in one PyTorch process with `torch.func`, for `scripts/bench` to time.

    python torch_func_loop.py DATA.npz SIZES THREADS RUNS SECONDS

prints, as JSON, the examples per second of all nets together and what each of them was trained
with. The params of RUNS nets are stacked and `vmap(grad(loss))` trains them in lockstep, compiled
where there is a C++ compiler; on a GPU a whole step is one CUDA graph. This script needs torch and
numpy, and nothing of this project.
"""

import itertools
import json
import shutil
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from torch.func import (  # pyright: ignore[reportMissingImports]
    functional_call,
    grad,
    stack_module_state,
    vmap,
)

WARM_UP = 2  # epochs
LEARNING_RATE, BETAS, EPSILON = 1e-3, (0.9, 0.999), 1e-8


def main(
    path: str, sizes: list[int], threads: int, runs: int, seconds: float, batch_size: int = 64
) -> dict:
    """Trains with Adam; every epoch has a new random order of the examples for each net."""
    torch.set_num_threads(threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    data = np.load(path)
    x, y = (torch.from_numpy(data[name]).to(device) for name in "xy")
    nets = [make_net(sizes).to(device) for _ in range(runs)]
    params = {name: leaf.detach() for name, leaf in stack_module_state(nets)[0].items()}
    step = make_step(params, gradients_of(nets[0], x, y))
    if has_compiler():
        mode = "reduce-overhead" if device == "cuda" else None
        step = torch.compile(step, dynamic=False, mode=mode)
    draw, batches = shuffler(runs, len(x), device), len(x) // batch_size
    epochs, began, spent = -WARM_UP, 0.0, 0.0
    while epochs <= 0 or spent < seconds:
        if epochs == 0:
            began = time.perf_counter()
        order = draw()
        for start in range(0, batches * batch_size, batch_size):
            step(order[:, start : start + batch_size].contiguous())
        if device == "cuda":
            torch.cuda.synchronize()
        epochs += 1
        spent = time.perf_counter() - began
    updates, count = epochs * batches, sum(leaf[0].numel() for leaf in params.values())
    return {"units_per_second": runs * updates * batch_size / spent, "updates": updates,
            "batch": batch_size, "params": count}  # fmt: skip


def make_net(sizes: list[int]) -> torch.nn.Module:
    """Returns an MLP with ReLU and PyTorch's usual initial params."""
    layers: list[torch.nn.Module] = []
    for wide, narrow in itertools.pairwise(sizes):
        layers += [torch.nn.Linear(wide, narrow), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def gradients_of(net: torch.nn.Module, x: torch.Tensor, y: torch.Tensor) -> Callable[..., dict]:
    """Returns a function of stacked params and rows [runs, batch] that gives each net's
    gradients."""
    classifies = not y.is_floating_point()
    loss_of = torch.nn.functional.cross_entropy if classifies else torch.nn.functional.mse_loss
    y = y.long() if classifies else y[:, None]
    shell = net.to("meta")  # only the structure: params are given in each call
    for leaf in (x, y):
        torch._dynamo.mark_static_address(leaf)  # so that a CUDA graph does not copy it

    def loss(params, x, y):
        return loss_of(functional_call(shell, params, (x,)), y)

    return lambda params, rows: vmap(grad(loss))(params, x[rows], y[rows])


def make_step(params: dict, gradients: Callable[..., dict]) -> Callable[[torch.Tensor], None]:
    """Returns a function that updates stacked params in place with Adam, at PyTorch's defaults.

    As plain tensor operations it is compiled together with the gradients, unlike PyTorch's own.
    """
    first = {name: torch.zeros_like(leaf) for name, leaf in params.items()}
    second = {name: torch.zeros_like(leaf) for name, leaf in params.items()}
    count = torch.zeros((), device=next(iter(params.values())).device)
    for leaf in [*params.values(), *first.values(), *second.values(), count]:
        torch._dynamo.mark_static_address(leaf)  # so that a CUDA graph may write to it

    def step(rows):
        count.add_(1)
        bias_1, bias_2 = (1 - beta**count for beta in BETAS)
        for name, gradient in gradients(params, rows).items():
            m = first[name].lerp_(gradient, 1 - BETAS[0])
            v = second[name].lerp_(gradient * gradient, 1 - BETAS[1])
            params[name].sub_(LEARNING_RATE * (m / bias_1) / ((v / bias_2).sqrt() + EPSILON))

    return step


def has_compiler() -> bool:
    """Whether there is what `torch.compile` compiles with."""
    header = Path(sysconfig.get_paths()["include"], "Python.h")
    return shutil.which("g++") is not None and header.is_file()


def shuffler(runs: int, examples: int, device: str) -> Callable[[], torch.Tensor]:
    """Returns a function that draws a random order of the examples for each net."""
    if device == "cuda":
        return lambda: torch.rand(runs, examples, device=device).argsort(1)
    rng, order = np.random.default_rng(), np.tile(np.arange(examples), (runs, 1))
    return lambda: torch.from_numpy(rng.permuted(order, axis=1, out=order))  # sorting takes longer


if __name__ == "__main__":
    data, shape, threads, runs, seconds = sys.argv[1:]
    sizes = [int(size) for size in shape.split("-")]
    print(json.dumps(main(data, sizes, int(threads), int(runs), float(seconds))))
