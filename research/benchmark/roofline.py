"""Compares a measured throughput with the best that the machine can do."""

from typing import NamedTuple

from research.benchmark.ceilings import Ceilings
from research.benchmark.timing import Timing


class Share(NamedTuple):
    """Throughput as a share of the machine's measured ceilings.

    Attributes:
      compute: FLOP/s of the training over those of the best matrix product.
      bandwidth: bytes per second of params and optimizer state, read and written, over those of a
        copy. Above 1, caches hold them and they need not move.
    """

    compute: float
    bandwidth: float


def share_of_ceiling(timing: Timing, precision: str, ceilings: Ceilings) -> Share:
    """Returns how near a timing is to the roofline (Williams et al., 2009)."""
    flops = (timing.flops_per_unit or 0.0) * timing.units_per_second
    moved = timing.bytes_per_unit * timing.units_per_second
    return Share(flops / ceilings.flops_per_second[precision], moved / ceilings.bytes_per_second)


def ceiling_units(timing: Timing, precision: str, ceilings: Ceilings) -> float:
    """Returns units of work per second if nothing but floating-point operations took time."""
    return ceilings.flops_per_second[precision] / (timing.flops_per_unit or float("nan"))
