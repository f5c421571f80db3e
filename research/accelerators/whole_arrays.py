"""Finds instructions of a compiled program that make a whole large array where a part would do.

A step of a DQN writes some rows of its replay ring. Nothing but an update in place may have the
ring's size then: a copy of it, in every step, would take most of the time and twice the memory.
"""

import re
from collections.abc import Callable, Collection, Iterator

from research.accelerators.hlo import Instruction, read_computations

_CALLS = re.compile(r"calls=%?([\w.\-]+)")
_OPERAND = re.compile(r"%([\w.\-]+)")

_UPDATES = {"dynamic-update-slice", "scatter"}
# A TPU's compiler stages arrays in the chip's fast memory, in parts that it puts together there.
_STAGING = {"copy-done", "copy-start", "slice-done", "slice-start"}
_PUT_TOGETHER = 'custom_call_target="ConcatBitcast"'
# Instructions that make no array: they name, group or pass on what is there.
_PASSES_ON = {
    "bitcast", "call", "conditional", "get-tuple-element", "opt-barrier", "parameter", "tuple",
    "while",
}  # fmt: skip


def whole_arrays(
    hlo: str, sizes: Collection[int], others: Collection[tuple[int, ...]] = ()
) -> list[str]:
    """Returns the instructions, opcode and name, whose result has as many elements as one of
    `sizes`, and that neither update it in place nor only pass it on.

    Args:
      hlo: the text of a compiled program.
      sizes: in elements, such as those of the arrays of a replay ring of all runs.
      others: shapes of arrays that may be copied, and happen to have such a size.
    """
    computations, _ = read_computations(hlo)
    is_whole = lambda one: any(
        size in sizes and shape not in others
        for size, shape in zip(one.sizes, one.shapes, strict=True)
    )
    fused = {
        called
        for instructions in computations.values()
        for one in instructions
        if one.opcode == "fusion"
        for called in _CALLS.findall(one.rest)
    }
    return [
        f"{one.opcode} {one.name}"
        for name, instructions in computations.items()
        if name not in fused
        for one in instructions
        if _makes_whole(one, is_whole, computations)
    ]


def _makes_whole(
    one: Instruction,
    is_whole: Callable[[Instruction], bool],
    computations: dict[str, list[Instruction]],
) -> bool:
    if one.opcode in _PASSES_ON | _UPDATES | _STAGING or _PUT_TOGETHER in one.rest:
        return False
    if not is_whole(one):
        return False
    if one.opcode == "fusion":
        (called,) = _CALLS.findall(one.rest)
        inside = {each.name: each for each in computations[called]}
        results = list(_results(computations[called][-1], inside))
        return any(is_whole(result) and not _is_update(result, inside) for result in results)
    return True


def _results(root: Instruction, inside: dict[str, Instruction]) -> Iterator[Instruction]:
    """Yields what a fusion returns: the root, the last of its instructions, or its parts."""
    if root.opcode != "tuple":
        yield root
        return
    for name in _OPERAND.findall(root.rest.split(")")[0]):
        yield inside[name]


def _is_update(one: Instruction, inside: dict[str, Instruction]) -> bool:
    """Whether a result of a fusion is an update in place."""
    while one.opcode == "bitcast":
        one = inside[_OPERAND.findall(one.rest)[0]]
    return one.opcode in _UPDATES
