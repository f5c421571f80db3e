"""Counts what a compiled program launches on an accelerator, from its scheduled HLO.

A small net on a GPU is bound by launches: a kernel costs microseconds to start, whatever the number
of runs until the device is full. So kernels a step are what to make few, and they can be counted
without a device.
"""

import re
from typing import NamedTuple

from research.accelerators.hlo import Instruction, read_computations

_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
_BODY = re.compile(
    r"(?:body|condition|to_apply|calls|true_computation|false_computation)=%?([\w.\-]+)"
)
_CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")

# Instructions that launch nothing: they name, group or reinterpret buffers.
_FREE = {
    "add-dependency", "after-all", "bitcast", "bitcast-convert", "constant",
    "get-tuple-element", "iota", "opt-barrier", "parameter", "partition-id", "replica-id",
    "reshape", "tuple",
}  # fmt: skip
_COPIES = {"copy", "copy-start", "transpose"}


class Launches(NamedTuple):
    """Launches of one call of a program.

    Attributes:
      kernels: fusions, library calls and other instructions that compute.
      copies: instructions that only move or re-lay data.
      waits: loops whose number of turns is not stated, so that the host looks at every turn. What
        is inside counts once, if the end depends on data.
      cycles: that a TPU's compiler estimates; 0 of others.
    """

    kernels: int
    copies: int
    waits: int
    cycles: int = 0

    def times(self, trips: int) -> "Launches":
        """Launches of so many turns of a loop; a loop inside it still is one."""
        return Launches(self.kernels * trips, self.copies * trips, self.waits, self.cycles * trips)


def count_launches(hlo: str) -> Launches:
    """Returns what one call of a program launches, loops of known length multiplied out.

    Args:
      hlo: the text of a program compiled for a GPU or TPU, from `jax.stages.Compiled.as_text`.
    """
    computations, entry = read_computations(hlo)
    counted: dict[str, Launches] = {}

    def count(name: str) -> Launches:
        if name not in counted:
            counted[name] = _sum(_count(one.opcode, one.rest) for one in computations.get(name, []))
        return counted[name]

    def _count(opcode: str, rest: str) -> Launches:
        if opcode == "while":
            if trips := _TRIPS.search(rest):  # then nobody looks at the condition
                return count(_BODY.findall(rest)[-1]).times(int(trips[1]))
            called = _BODY.findall(rest)
            inside = _sum(map(count, called)).times(_bound(computations.get(called[0], [])))
            return inside._replace(waits=inside.waits + 1)
        if opcode == "conditional":
            return _largest(count(name) for name in _branches(rest))
        if opcode == "call":
            return _sum(map(count, _BODY.findall(rest)))
        if opcode in _FREE or opcode.endswith(("-done", "-update")):  # the start has launched it
            return Launches(0, 0, 0)
        cycles = int(found[1]) if (found := _CYCLES.search(rest)) else 0
        copies = int(opcode in _COPIES)
        return Launches(1 - copies, copies, 0, cycles)

    return count(entry)


def _bound(condition: list[Instruction]) -> int:
    """The turns of a loop that counts from 0 to a constant; 1 if its end depends on more.

    A TPU's compiler leaves them there, and does not state them.
    """
    opcodes = sorted(one.opcode for one in condition)
    if opcodes != ["compare", "constant", "get-tuple-element", "parameter"]:
        return 1
    (limit,) = (one.rest for one in condition if one.opcode == "constant")
    return int(limit.split(")")[0]) if "direction=LT" in condition[-1].rest else 1


def _branches(rest: str) -> list[str]:
    if named := _BRANCHES.search(rest):
        return [name.strip().lstrip("%") for name in named[1].split(",")]
    return _BODY.findall(rest)


def _sum(launches) -> Launches:
    return Launches(*(sum(column) for column in zip(Launches(0, 0, 0), *launches, strict=True)))


def _largest(launches) -> Launches:
    return max(launches, key=lambda one: one.kernels + one.copies, default=Launches(0, 0, 0))
