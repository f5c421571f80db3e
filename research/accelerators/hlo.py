"""Reads the text of a compiled program, XLA's HLO, as far as counting takes it."""

import math
import re
from typing import NamedTuple

_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) .*\{$")
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?([\w.\-]+) = (\(.*?\)|\S+) ([\w\-]+)\((.*)$")
_SHAPE = re.compile(r"\w+\[([\d,]*)\]")


class Instruction(NamedTuple):
    """One instruction.

    Attributes:
      name: unique in its computation.
      shapes: of its result, or of each array in it if it is a tuple.
      opcode: what it does.
      rest: the rest of its line: operands, then attributes.
    """

    name: str
    shapes: tuple[tuple[int, ...], ...]
    opcode: str
    rest: str

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many elements each has."""
        return tuple(math.prod(shape) for shape in self.shapes)


def read_computations(hlo: str) -> tuple[dict[str, list[Instruction]], str]:
    """Returns computation -> its instructions, of which the last is the root, and the name of the
    computation that a program enters."""
    computations: dict[str, list[Instruction]] = {}
    current: list[Instruction] = []
    entry = ""
    for line in hlo.splitlines():
        if found := _INSTRUCTION.match(line):
            name, result, opcode, rest = found.groups()
            shapes = tuple(_lengths(dimensions) for dimensions in _SHAPE.findall(result))
            current.append(Instruction(name, shapes, opcode, rest))
        elif found := _COMPUTATION.match(line):
            current = computations.setdefault(found[2], [])
            entry = found[2] if found[1] else entry
    return computations, entry


def _lengths(dimensions: str) -> tuple[int, ...]:
    return tuple(int(length) for length in dimensions.split(",") if length)
