"""Lays runs out over devices, lanes and blocks."""

from typing import NamedTuple


class Layout(NamedTuple):
    """R runs as `blocks` calls of one program over `devices` x `lanes` runs.

    Attributes:
      devices: how many devices the run axis is sharded over.
      lanes: how many runs advance in lockstep on each device.
      blocks: how many such blocks take turns, chunk by chunk.
      runs: R; the lanes beyond it repeat the last run and are never reported.
    """

    devices: int
    lanes: int
    blocks: int
    runs: int

    @property
    def width(self) -> int:
        """Runs in one call."""
        return self.devices * self.lanes

    @property
    def padding(self) -> int:
        """How many lanes repeat the last run."""
        return self.width * self.blocks - self.runs


def plan_layout(
    runs: int, devices: int, most_lanes: int | None = None, width: int | None = None
) -> Layout:
    """Returns the fewest blocks of at most `most_lanes` lanes per device, with the least padding;
    as many as `width` runs need, if those are more."""
    wide = max(runs, width or 0)
    devices = min(devices, wide)
    per_device = -(-wide // devices)
    blocks = 1 if most_lanes is None else -(-per_device // most_lanes)
    return Layout(devices, -(-per_device // blocks), blocks, runs)


def fewer_lanes(layout: Layout, running: int) -> Layout | None:
    """Returns where `running` of the runs of a layout go on; None while that is where they are.

    As many lanes as the next power of two, and at least one a device, in blocks of the same width
    or in one that is narrower, once these are half of the lanes there are: so a sweep goes through
    few widths, each of which is compiled once.
    """
    fits = max(layout.devices, 1 << (running - 1).bit_length())
    if 2 * fits > layout.width * layout.blocks:
        return None
    if fits >= layout.width:
        return layout._replace(blocks=-(-fits // layout.width), runs=running)
    return Layout(layout.devices, -(-fits // layout.devices), 1, running)


def cache_lanes(params_bytes: int, cache_bytes: int = 2**21) -> int:
    """Returns how many runs to advance in lockstep on one CPU core so that their params, gradients
    and two Adam moments stay in its second-level cache between steps."""
    return max(1, cache_bytes // max(1, 4 * params_bytes))
