"""Finds out what each kernel of a compiled program does from its HLO, XLA's language."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

MATRIX_PRODUCTS = "matrix products"
RANDOM = "random numbers"
GATHERS = "gathers and scatters"
REDUCTIONS = "sums and other reductions"
ELEMENTWISE = "elementwise"
COPIES = "copies and layout"
CONTROL = "loops and calls"

# A fusion is of the first of these kinds that is in it.
_KIND_OF = {
    MATRIX_PRODUCTS: {"dot", "convolution", "ragged-dot"},
    RANDOM: {"rng", "rng-bit-generator"},
    GATHERS: {"gather", "scatter", "sort", "topk"},
    REDUCTIONS: {"reduce", "reduce-window", "select-and-scatter"},
}
_MOVES = {
    "bitcast", "bitcast-convert", "broadcast", "concatenate", "constant", "copy", "dynamic-slice",
    "dynamic-update-slice", "get-tuple-element", "iota", "pad", "parameter", "reshape", "reverse",
    "slice", "transpose", "tuple",
}  # fmt: skip
_CONTROLS = {"while", "conditional", "call", "async-start", "async-done"}
_LIBRARIES = re.compile(r"gemm|matmul|dot|conv|cublas|cudnn|onednn", re.IGNORECASE)
# JAX's generator, and the functions of `jax.random` that XLA is told of.
_RANDOM = re.compile(
    r"threefry|random_bits|jit\(_(bernoulli|categorical|choice|exponential|gamma|gumbel|normal"
    r"|normal_real|permutation|randint|truncated_normal|uniform)\)"
)

_COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) .*\{$")
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?([\w.\-]+) = (\(.*?\)|\S+) ([\w\-]+)\(")
_CALLS = re.compile(r"calls=%?([\w.\-]+)")
_TARGET = re.compile(r'custom_call_target="([^"]*)"')
_OP_NAME = re.compile(r'op_name="([^"]*)"')
# What the engine wraps around a task: the program, its devices, its loop and its runs.
_WRAPPING = re.compile(r"^jit\([^)]*\)/|^(shard_map|while|body|closed_call|eval_jaxpr|vmap\(\))/")


class Kernel(NamedTuple):
    """One instruction that a device runs.

    Attributes:
      kind: one of the above, such as `MATRIX_PRODUCTS`.
      shape: the shape of its result as HLO writes it; of a tuple, that of the first element.
      source: the operation of JAX that it was made from, without the modules and transformations
        around it; of a fusion, that of its matrix product or else of its result.
    """

    kind: str
    shape: str
    source: str


class _Instruction(NamedTuple):
    opcode: str
    shape: str
    calls: str
    target: str
    op_name: str


def read_kernels(hlo: str) -> dict[str, Kernel]:
    """Returns what each instruction of a program does, under the name that profiles give it.

    Args:
      hlo: the text of a compiled program, from `jax.stages.Compiled.as_text`.
    """
    computations = _read(hlo)
    kernels = {}
    for computation in computations.values():
        names = [one.op_name for one in computation.values() if one.op_name]
        draws = 2 * sum(bool(_RANDOM.search(name)) for name in names) > len(names)
        for name, instruction in computation.items():
            kernel = _kernel(instruction, computations)
            # XLA's own copies have no name: in a loop that draws they are part of the drawing.
            unnamed = draws and not kernel.source
            kernels[name] = kernel._replace(kind=RANDOM) if unnamed else kernel
    return kernels


def _read(hlo: str) -> dict[str, dict[str, _Instruction]]:
    """Returns computation -> name -> instruction."""
    computations: dict[str, dict[str, _Instruction]] = {}
    current: dict[str, _Instruction] = {}
    for line in hlo.splitlines():
        if found := _INSTRUCTION.match(line):
            name, shape, opcode = found.groups()
            rest = [_first(pattern, line) for pattern in (_CALLS, _TARGET, _OP_NAME)]
            current[name] = _Instruction(opcode, shape, *rest)
        elif found := _COMPUTATION.match(line):
            current = computations.setdefault(found[1], {})
    return computations


def _first(pattern: re.Pattern[str], line: str) -> str:
    found = pattern.search(line)
    return found[1] if found else ""


def _kernel(instruction: _Instruction, computations: dict[str, dict[str, _Instruction]]) -> Kernel:
    inside = [instruction, *_fused(instruction, computations)]
    kind = _kind(inside)
    named = [one.op_name for one in inside if one.op_name]
    products = [
        one.op_name for one in inside if one.opcode in _KIND_OF[MATRIX_PRODUCTS] and one.op_name
    ]
    source = (products or named or [""])[0]
    shape = instruction.shape.strip("(").split("{")[0].split(", ")[0]
    return Kernel(kind, shape, _unwrapped(source))


def _fused(
    instruction: _Instruction, computations: dict[str, dict[str, _Instruction]]
) -> Iterator[_Instruction]:
    """Yields the instructions of a fusion, and of fusions in it."""
    for inner in computations.get(instruction.calls, {}).values():
        yield inner
        yield from _fused(inner, computations)


def _kind(inside: Iterable[_Instruction]) -> str:
    """Returns the kind of an instruction, given with all that is fused into it."""
    inside = list(inside)
    opcodes = {one.opcode for one in inside} - {"fusion", "custom-call"}
    if opcodes & _KIND_OF[MATRIX_PRODUCTS] or any(_LIBRARIES.search(one.target) for one in inside):
        return MATRIX_PRODUCTS
    if opcodes & _KIND_OF[RANDOM] or any(_RANDOM.search(one.op_name) for one in inside):
        return RANDOM
    for kind in (GATHERS, REDUCTIONS):
        if opcodes & _KIND_OF[kind]:
            return kind
    if opcodes & _CONTROLS:
        return CONTROL
    return COPIES if opcodes <= _MOVES else ELEMENTWISE


def _unwrapped(op_name: str) -> str:
    while (shorter := _WRAPPING.sub("", op_name)) != op_name:
        op_name = shorter
    return op_name
