"""Measures what computing the softmax in chunks of tokens costs, and how much memory it saves.

    scripts/run scripts/compare/softmax_memory.py

Prints, for each number of runs, the time of the loss and its gradient, and the memory of the
program's temporary arrays, as counted by the compiler: for optax's cross-entropy of all logits,
differentiated by JAX, and for ours with the tokens in 1, 5 and 20 chunks.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from research.cli.machine import configure_jax
from research.lm.softmax import total_nll
from research.runs.session import device_facts, versions

TOKENS, SIZE, SYMBOLS = 700, 650, 10_000  # of the medium Penn Treebank model
CHUNKS, RUNS, TURNS = (1, 5, 20), (1, 4), 5


def plain(out: Any, table: Any, bias: Any, target: Any) -> Any:
    """The usual loss: optax's cross-entropy of all logits."""
    logits = out @ table.T + bias[None, :]
    return jnp.sum(optax.softmax_cross_entropy_with_integer_labels(logits, target))


def compile_loss(loss: Callable[..., Any], runs: int) -> tuple[Any, tuple[Any, ...]]:
    """A compiled loop of gradient steps on `runs` losses at once, as in a sweep."""
    keys = jax.random.split(jax.random.key(0), 3)
    args = (
        jax.random.normal(keys[0], (runs, TOKENS, SIZE)),
        0.05 * jax.random.normal(keys[1], (runs, SYMBOLS, SIZE)),
        jnp.zeros((runs, SYMBOLS)),
    )
    target = jax.random.randint(keys[2], (TOKENS,), 0, SYMBOLS)
    gradient = jax.vmap(jax.grad(loss, (0, 1, 2)), (0, 0, 0, None))

    def descend(args, target):
        def one_step(args, _):
            grads = gradient(*args, target)
            return jax.tree.map(lambda leaf, grad: leaf - 1e-3 * grad, args, grads), None

        return lax.scan(one_step, args, None, length=3)[0]

    return jax.jit(descend).lower(args, target).compile(), (args, target)


def measure(name: str, loss: Callable[..., Any], runs: int) -> None:
    """Prints the milliseconds per run and update, and the memory of temporary arrays."""
    program, args = compile_loss(loss, runs)
    seconds = []
    for _ in range(TURNS + 1):
        began = time.perf_counter()
        jax.block_until_ready(program(*args))
        seconds.append(time.perf_counter() - began)
    each = statistics.median(seconds[1:]) / 3 / runs
    megabytes = program.memory_analysis().temp_size_in_bytes / 1e6
    print(f"{runs} runs, {name}: {each * 1e3:.0f} ms a run, {megabytes:,.0f} MB", flush=True)


def main() -> None:
    """Prints a line for each loss and number of runs."""
    print(device_facts(), versions(), flush=True)
    print(f"{TOKENS} tokens x {SIZE} x {SYMBOLS:,} symbols; logits of a run: "
          f"{np.prod([4, TOKENS, SYMBOLS]) / 1e6:.0f} MB")  # fmt: skip
    for runs in RUNS:
        measure("plain", plain, runs)
        for chunks in CHUNKS:
            loss = lambda *args: total_nll(chunks, *args)  # noqa: B023
            measure(f"{chunks} chunks", loss, runs)


if __name__ == "__main__":
    configure_jax()
    main()
