"""How near a measured throughput is to what the machine can do."""

from typing import NamedTuple

from research.benchmark.ceilings import Ceilings
from research.benchmark.timing import Timing


class Share(NamedTuple):
    """Of the machine's measured ceilings.

    Attributes:
      compute: FLOP/s of the training as a share of those of the best matrix product.
      bandwidth: what has to move of params and optimizer state, as a share of what a copy moves.
        Above 1 it did not have to: caches hold it.
    """

    compute: float
    bandwidth: float


def share_of_ceiling(timing: Timing, precision: str, ceilings: Ceilings) -> Share:
    """Where a timing lies under the roofline (Williams et al., 2009)."""
    flops = (timing.flops_per_unit or 0.0) * timing.units_per_second
    moved = timing.bytes_per_unit * timing.units_per_second
    return Share(flops / ceilings.flops_per_second[precision], moved / ceilings.bytes_per_second)


def ceiling_units(timing: Timing, precision: str, ceilings: Ceilings) -> float:
    """Units per second if nothing but FLOPs took time."""
    return ceilings.flops_per_second[precision] / (timing.flops_per_unit or float("nan"))
