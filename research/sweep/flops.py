"""Floating-point operations of a traced function, loops counted as often as they turn."""

from collections.abc import Iterator
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, jaxpr_as_fun


def count_flops(program: ClosedJaxpr) -> float | None:
    """The compiler's count before optimization, None where it gives none.

    It takes the body of every loop once; for a scan that is replaced by all its turns. Loops
    without a fixed number of turns stay counted once.

    Args:
      program: such as `jax.jit(f).trace(...).jaxpr`.
    """
    once, more = _count(program)
    return None if once is None else once + more


def _count(program: ClosedJaxpr) -> tuple[float | None, float]:
    """The count with every loop taken once, and what the other turns of its scans add to it."""
    given: list[Any] = list(program.in_avals)
    shapes = [jax.ShapeDtypeStruct(aval.shape, aval.dtype) for aval in given]
    cost = jax.jit(jaxpr_as_fun(program)).lower(*shapes).cost_analysis() or {}
    added = 0.0
    for scan in _scans(program.jaxpr):
        once, more = _count(scan["jaxpr"])
        added += (scan["length"] - 1) * (once or 0.0) + scan["length"] * more
    return cost.get("flops"), added


def _scans(jaxpr: Jaxpr) -> Iterator[dict[str, Any]]:
    """The parameters of every scan that is not inside another."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "scan":
            yield equation.params
            continue
        for inner in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda x: isinstance(x, ClosedJaxpr | Jaxpr)
        ):
            if isinstance(inner, ClosedJaxpr):
                yield from _scans(inner.jaxpr)
            elif isinstance(inner, Jaxpr):
                yield from _scans(inner)
