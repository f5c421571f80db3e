"""How much device memory a program needs, and into how many parts runs are split to fit."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
from jax.extend.core import DropVar

from research.engine.flops import inner_jaxprs
from research.plain_text import human


class Cost(NamedTuple):
    """What the training program costs, as the compiler reports it.

    Attributes:
      compile_seconds: tracing and compiling all programs of the group, wall time.
      cache_hits: how many of them came from the compilation cache.
      flops_per_step: of one step of one run, on average; see `count_flops`.
      argument_bytes: arguments of one call on one device: data, states, hyper-parameters.
      temp_bytes: what one call needs beside arguments and results, on one device.
      shared_bytes: the data, on every device.
      peak_bytes: all that one device has to hold at once, the blocks that wait included.
    """

    compile_seconds: float
    cache_hits: int
    flops_per_step: float
    argument_bytes: int
    temp_bytes: int
    shared_bytes: int
    peak_bytes: int


def pieces_needed(cost: Cost, limit: int) -> int:
    """Returns into how many equal parts the runs must be split so that each fits; 1 if all fit
    together.

    What all runs share has to fit beside each part.
    """
    if cost.peak_bytes <= limit:
        return 1
    room = max(1, limit - cost.shared_bytes)
    return -(-(cost.peak_bytes - cost.shared_bytes) // room)


def pieces_that_fit(cost_of: Callable[[int], Cost], runs: int, limit: int) -> int:
    """Returns into how many equal parts to split runs so that each fits; more than there are runs
    if not even one fits.

    What a program needs is no multiple of its runs, so that of a part is looked at, too.

    Args:
      cost_of: what the program of so many runs costs.
      runs: how many there are.
      limit: bytes of a device that can be used.
    """
    pieces, more = 1, pieces_needed(cost_of(runs), limit)
    while more > 1 and pieces < runs:
        pieces = min(runs, pieces * more)
        more = pieces_needed(cost_of(-(-runs // pieces)), limit)
    return pieces if more == 1 else runs + 1


def too_much(cost: Cost, limit: int) -> str:
    """Returns the reason why runs are split, as a phrase for the user."""
    need, most = human(cost.peak_bytes), human(limit)
    return f"all at once they need {need}B of a device, and {most}B can be used"


def is_out_of_memory(error: BaseException) -> bool:
    """Returns whether an error says that a device ran out of memory."""
    return isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)


def measure_memory(
    programs: Sequence[Any], blocks: int, carried: int, shared: int
) -> dict[str, int]:
    """Returns the byte counts of `Cost`.

    Args:
      programs: compiled.
      blocks: that take turns; while one is worked on, the states of the others wait.
      carried: bytes of one block on one device.
      shared: bytes of the data.
    """
    temp, working = 0, 0
    for program in programs:
        if analysis := program.memory_analysis():  # some backends give none
            # A TPU pads the last two axes of an array to whole tiles.
            carried = max(carried, analysis.argument_size_in_bytes - shared)
            new = max(0, analysis.output_size_in_bytes - analysis.alias_size_in_bytes)
            temp = max(temp, analysis.temp_size_in_bytes)
            working = max(working, analysis.temp_size_in_bytes + new)
    return {
        "argument_bytes": shared + carried,
        "temp_bytes": temp,
        "shared_bytes": shared,
        "peak_bytes": shared + blocks * carried + working,
    }


def byte_count(shapes: Any) -> int:
    """Returns the bytes of all leaves of a tree of arrays or shapes."""
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(shapes))


def loop_bytes(jaxpr: Any) -> int:
    """Returns the bytes of what the largest loop in a traced function carries and stacks, wherever
    it is nested. No compiler can do without these arrays."""
    most = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name in ("scan", "while"):
            kept = [out.aval for out in equation.outvars if not isinstance(out, DropVar)]
            most = max(most, sum(math.prod(one.shape) * one.dtype.itemsize for one in kept))
        for inner in inner_jaxprs(equation):
            most = max(most, loop_bytes(inner))
    return most
