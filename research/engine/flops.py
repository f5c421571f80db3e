"""Counts the floating-point operations of a traced function, with its loops and branches.

A matrix product of [m, k] and [k, n] is 2 m k n operations. An addition, a multiplication or a
function such as `exp` is one for each element of its result, a sum over n numbers n - 1. Integers
(hashes, random bits, indices), comparisons and operations that only move numbers count nothing;
neither do factorizations and Fourier transforms, which nothing here uses. Operations that no output
needs are left out, as the compiler leaves them out.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var
from jax.interpreters import partial_eval

Known = Mapping[Var, np.ndarray]  # variables that depend on the step alone: [T, ...] over steps
MOST_STEPS = 2**20  # whose branches are looked at
ELEMENTWISE = {
    "abs", "acos", "acosh", "add", "add_any", "asin", "asinh", "atan", "atan2", "atanh", "cbrt",
    "ceil", "clamp", "cos", "cosh", "digamma", "div", "erf", "erf_inv", "erfc", "exp", "exp2",
    "expm1", "floor", "integer_pow", "lgamma", "log", "log1p", "logistic", "max", "min", "mul",
    "neg", "pow", "rem", "round", "rsqrt", "sign", "sin", "sinh", "sqrt", "square", "sub", "tan",
    "tanh",
}  # fmt: skip
REDUCTIONS = {"reduce_sum", "reduce_prod", "reduce_max", "reduce_min", "argmax", "argmin"}
CUMULATIVE = {"cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp"}
SCATTERED = {"scatter-add", "scatter-mul", "scatter-min", "scatter-max"}


def count_flops(program: ClosedJaxpr, steps: int | None = None) -> float:
    """The floating-point operations of one call, on average over the steps of a run.

    A scan counts every iteration, a `while` loop one. If the branch of a `cond` depends on the step
    alone, each branch counts as often as it is taken; if it depends on the platform, the branch of
    this platform counts. Of any other `cond` all branches count, since `vmap` over runs computes
    them all.

    Args:
      program: such as `jax.jit(task.step).trace(...).jaxpr`.
      steps: if given, the last argument of the function is the step, which goes from 0 to
        `steps` - 1; of a very long run, the beginning stands for all of it.
    """
    jaxpr = program.jaxpr
    jaxpr, _ = partial_eval.dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars), instantiate=True)
    known: Known = {}
    if steps is not None and _has_choice(jaxpr.eqns):
        known = {jaxpr.invars[-1]: np.arange(min(steps, MOST_STEPS), dtype=np.int32)}
    return _count(jaxpr, known)


def _count(jaxpr: Jaxpr, known: Known) -> float:
    total, known = 0.0, dict(known)
    deciding = _deciding(jaxpr) if known else set()
    for equation in jaxpr.eqns:
        if equation.primitive.name == "cond":
            total += _count_branches(equation, known)
        else:
            total += _count_equation(equation, known)
        if not deciding.isdisjoint(equation.outvars):
            known |= _follow(equation, known)
    return total


def _count_equation(equation: JaxprEqn, known: Known) -> float:
    """The operations of an equation that is no branch."""
    name, params = equation.primitive.name, equation.params
    given: Any = equation.invars[0].aval if equation.invars else None
    made: Any = equation.outvars[0].aval
    if name == "scan":
        body = params["jaxpr"].jaxpr
        inner = _inside(body, equation.invars[: _constants(equation, body)], known)
        return params["length"] * _count(body, inner)
    if name in SCATTERED:
        return _floats(equation.invars[2].aval)
    if name in REDUCTIONS:
        return _floats(given) * (1 - made.size / max(given.size, 1))
    if name in CUMULATIVE or name in ELEMENTWISE:
        return _floats(made)
    if name == "dot_general":
        (contracted, _), _ = params["dimension_numbers"]
        return 2 * _floats(made) * math.prod(given.shape[axis] for axis in contracted)
    if name == "conv_general_dilated":
        kernel: Any = equation.invars[1].aval
        numbers = params["dimension_numbers"]
        return 2 * _floats(made) * kernel.size / kernel.shape[numbers.rhs_spec[0]]
    return sum(_count(one, _inside(one, equation.invars, known)) for one in inner_jaxprs(equation))


def _count_branches(equation: JaxprEqn, known: Known) -> float:
    index, *given = equation.invars
    branches = [branch.jaxpr for branch in equation.params["branches"]]
    if platforms := equation.params.get("branches_platforms"):
        here = jax.default_backend()
        chosen = next(i for i, names in enumerate(platforms) if names is None or here in names)
        return _count(branches[chosen], _inside(branches[chosen], given, known))
    if isinstance(index, Literal) or index not in known:
        return sum(_count(branch, _inside(branch, given, known)) for branch in branches)
    total, taken_T = 0.0, np.clip(known[index], 0, len(branches) - 1)
    for place, branch in enumerate(branches):
        if (here_T := taken_T == place).any():
            inner = _inside(branch, given, {var: value[here_T] for var, value in known.items()})
            total += here_T.mean() * _count(branch, inner)
    return total


def _constants(scan: JaxprEqn, body: Jaxpr) -> int:
    """How many arguments are the same in every iteration of a scan: those before the carry.

    Scanned inputs and outputs have one axis more outside the scan than inside. The number is
    inferred from this, since the parameters that hold it differ between versions of JAX.
    """
    as_inside = lambda pair: pair[0].aval.ndim == pair[1].aval.ndim
    given = sum(map(as_inside, zip(scan.invars, body.invars, strict=True)))
    return given - sum(map(as_inside, zip(scan.outvars, body.outvars, strict=True)))


def _deciding(jaxpr: Jaxpr) -> set[Any]:
    """The variables that the choice of branches in a function may depend on."""
    found: set[Any] = set()
    for equation in reversed(jaxpr.eqns):
        if _has_choice([equation]) or not found.isdisjoint(equation.outvars):
            found.update(var for var in equation.invars if not isinstance(var, Literal))
    return found


def _follow(equation: JaxprEqn, known: Known) -> Known:
    """The outputs of an equation for every step, if its inputs depend on the step alone."""
    read = [var for var in equation.invars if not isinstance(var, Literal)]
    if not read or any(var not in known for var in read):
        return {}
    primitive = equation.primitive
    params = primitive.get_bind_params(equation.params)

    def one_step(values):
        values = iter(values)
        given = [var.val if isinstance(var, Literal) else next(values) for var in equation.invars]
        return jax.tree.leaves(primitive.bind(*given, **params))

    made = jax.jit(jax.vmap(one_step))([jnp.asarray(known[var]) for var in read])
    return dict(zip(equation.outvars, map(np.asarray, made), strict=True))


def _inside(jaxpr: Jaxpr, given: Any, known: Known) -> Known:
    """The known values of the arguments that a function is called with."""
    pairs = zip(jaxpr.invars, given, strict=False)
    return {
        var: known[outer]
        for var, outer in pairs
        if not isinstance(outer, Literal) and outer in known
    }


def _floats(aval: Any) -> float:
    """How many floating-point numbers an array holds."""
    return float(aval.size) if jnp.issubdtype(aval.dtype, jnp.floating) else 0.0


def _has_choice(equations: Sequence[JaxprEqn]) -> bool:
    """Whether there is a branch, other than by platform, in the equations or what they call."""
    return any(
        (one.primitive.name == "cond" and not one.params.get("branches_platforms"))
        or any(_has_choice(inner.eqns) for inner in inner_jaxprs(one))
        for one in equations
    )


def inner_jaxprs(equation: JaxprEqn) -> Iterator[Jaxpr]:
    """The functions that an equation calls."""
    is_function: Callable[[Any], bool] = lambda x: isinstance(x, ClosedJaxpr | Jaxpr)
    for value in jax.tree.leaves(list(equation.params.values()), is_leaf=is_function):
        if isinstance(value, ClosedJaxpr):
            yield value.jaxpr
        elif isinstance(value, Jaxpr):
            yield value
