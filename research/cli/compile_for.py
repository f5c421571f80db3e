"""Says whether a sweep fits an accelerator that is not there, and how long it would take at best.

The recipe runs once more, in the environment that has the device's compiler; there it compiles each
group, split into parts as in training, and sends what it found to the process that the user sees.
"""

import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from rich.console import Console

from research.accelerators.devices import Device, read_device
from research.accelerators.elsewhere import asked_device, run_elsewhere, send
from research.accelerators.needs import Needs, StepLaunches, assumptions, measure_needs
from research.console import LOOSE, print_table, say, waiting
from research.engine.cadence import plan_chunks
from research.engine.memory import Cost, byte_count, is_out_of_memory, pieces_that_fit
from research.engine.one_run import trace_one_run
from research.errors import UserError
from research.matmul import PRECISIONS
from research.plain_text import count_of, duration, human
from research.runs.experiment import Experiment, Part, make_parts
from research.runs.memory_limit import USABLE
from research.runs.opening import RunOptions

FLAG = "--compile-for"


class GroupNeeds(NamedTuple):
    """What one group of a sweep needs of a device.

    Attributes:
      group: its swept config values in words; empty where none is swept.
      runs, steps: how many, and how long each trains.
      parts: into how many parts its runs are split, trained one after the other; 0 if not even the
        fewest fit.
      together: the most runs in a part.
      fewest: the runs that are trained together in any case, as those of a population are.
      whole_bytes: memory of all runs at once, or of as many as are asked for.
      peak_bytes: memory of one part.
      limit_bytes: memory that can be used.
      kernels, copies, waits, cycles: as in `StepLaunches`.
      bound, step_seconds: as in `Needs`.
    """

    group: str
    runs: int
    steps: int
    parts: int
    together: int
    fewest: int
    whole_bytes: int
    peak_bytes: int
    limit_bytes: int
    kernels: float
    copies: float
    waits: int
    cycles: float
    bound: str
    step_seconds: float

    @property
    def seconds(self) -> float:
        """How long its training takes at best."""
        return self.parts * self.steps * self.step_seconds


def compile_sweep(experiment: Experiment, options: RunOptions, names: Sequence[str]) -> None:
    """Prints what a sweep needs of each device; trains nothing and writes nothing.

    Args:
      experiment: the sweep.
      options: how it is to run.
      names: of devices.

    Raises:
      UserError: for an unknown device, one that not even one run fits, and a compiler that is
        not there.
    """
    devices = [read_device(name, FLAG) for name in names]
    if len(set(names)) < len(names):
        raise UserError(f"{FLAG} {' '.join(names)}: a device is given twice")
    if (asked := asked_device()) is not None:
        device = read_device(asked, FLAG)
        for part in make_parts(experiment):
            send(group_needs(experiment, part, options, device)._asdict())
        return
    console, too_large = Console(), []
    for device in devices:
        with waiting(console, f"compiling for {device.name}"):
            found = [GroupNeeds(**facts) for facts in run_elsewhere(sys.argv, device)]
        _print_needs(console, experiment, found, device)
        too_large += [_too_large(one, device) for one in found if not one.parts]
    if too_large:
        raise UserError(too_large[0])


def group_needs(
    experiment: Experiment, part: Part, options: RunOptions, device: Device
) -> GroupNeeds:
    """Compiles one group of an experiment for a device, in as many parts as fit it, and returns
    what it needs."""
    limit = options.train.memory_limit or int(USABLE * device.memory_bytes)
    runs = len(part.group.runs)
    at_once = options.parallel or runs
    if experiment.search:  # of which only a batch is trained at once
        at_once = min(at_once, experiment.search.per_batch * len(experiment.seeds))
    fewest = runs // len(experiment.seeds) if experiment.population else 1
    units, at_once = runs // fewest, max(1, at_once // fewest)
    asked = -(-units // -(-units // at_once))  # together, in parts of one size
    state_bytes = byte_count(trace_one_run(part.problem, part.group.runs).state)
    most = min(asked, max(1, limit // (fewest * state_bytes)))  # states of more would not fit
    compiled: dict[int, Needs] = {}

    def cost_of(count: int) -> Cost:
        try:
            compiled[count] = _compile(experiment, part, count * fewest, device)
            return compiled[count].cost
        except jax.errors.JaxRuntimeError as error:  # as of a TPU, which refuses what is too large
            if not is_out_of_memory(error):
                raise
            return Cost(0, 0, 0, 0, 0, 0, peak_bytes=2 * limit)

    pieces = pieces_that_fit(cost_of, most, limit)
    together = max(1, -(-most // pieces))
    one = compiled.get(together)
    shared = byte_count(part.problem.shared)
    per_run = max(state_bytes, one.per_run_bytes if one else 0)
    return GroupNeeds(
        group=part.name,
        runs=runs,
        steps=part.steps,
        parts=-(-units // together) if pieces <= most else 0,
        together=together * fewest,
        fewest=fewest,
        whole_bytes=compiled[asked].cost.peak_bytes
        if asked in compiled
        else shared + per_run * asked * fewest,
        peak_bytes=one.cost.peak_bytes if one else max(shared + per_run * fewest, limit),
        limit_bytes=limit,
        **(one.launches if one else StepLaunches(0, 0, 0))._asdict(),
        bound=one.bound if one else "memory",
        step_seconds=one.step_seconds if one else 0.0,
    )


def _compile(experiment: Experiment, part: Part, count: int, device: Device) -> Needs:
    """What a program of the first `count` runs of a group needs."""
    runs, chunks = part.group.runs.take(np.arange(count)), plan_chunks(part.steps, part.cadence)
    precision = getattr(part.group.config, "compute", PRECISIONS[0])
    lanes, keep = experiment.most_lanes, experiment.keep_best
    return measure_needs(part.problem, runs, precision, device, chunks, lanes, count, keep)


def _print_needs(
    console: Console, experiment: Experiment, found: Sequence[GroupNeeds], device: Device
) -> None:
    say(console, assumptions(device))
    names = (
        "runs", "parts", "memory of a part", "kernels a step", "copies", "waits", "a step",
        "training", "bound by",
    )  # fmt: skip
    rows: list[Any] = [list(_row(one, device)) for one in found]
    if any(one.group for one in found):
        names = ("group", *names)
        rows = [(one.group, *row) for one, row in zip(found, rows, strict=True)]
    title = f"Compiled for {device.description}, which was not there: times are predicted"
    print_table(console, names, rows, title=title, padding=LOOSE)
    for line in _conclusions(experiment, found, device):
        say(console, line)


def _row(one: GroupNeeds, device: Device) -> Iterator[str]:
    """Yields the cells of a group. A TPU runs a whole program as one launch: none are counted."""
    counted = bool(device.launch_seconds)
    yield f"{one.runs:,}"
    yield f"{one.parts:,}" if one.parts else "none fits"
    yield f"{human(one.peak_bytes)}B"
    yield f"{one.kernels:.1f}" if counted else "-"
    yield f"{one.copies:.1f}" if counted else "-"
    yield f"{one.waits}" if counted else "-"
    yield duration(one.step_seconds)
    yield duration(one.seconds) if one.parts else "-"
    yield one.bound


def _conclusions(
    experiment: Experiment, found: Sequence[GroupNeeds], device: Device
) -> Iterator[str]:
    """Yields what follows for the whole sweep, in sentences."""
    most = found[0].limit_bytes
    for one in found:
        label = one.group or experiment.name
        if (over := one.whole_bytes - most) > 0 and one.parts:
            yield (  # what is not compiled is estimated from what a part needs
                f"{label}: together its {count_of(one.runs, 'run')} need "
                f"{human(one.whole_bytes)}B, {human(over)}B more than the {human(most)}B "
                f"that can be used: {one.parts} parts "
                f"of up to {count_of(one.together, 'run')}, one after the other"
            )
    if not all(one.parts for one in found):
        return
    runs, seconds = sum(one.runs for one in found), sum(one.seconds for one in found)
    thinned = ", as if --halving stopped no run early" if experiment.halving else ""
    parts = sum(one.parts for one in found)
    yield (
        f"{experiment.name}: {count_of(runs, 'run')} fit {device.name} in {parts} "
        f"{'part' if parts == 1 else 'parts'}, and train for {duration(seconds)} at best"
        f"{thinned}; evaluations, compiling and the host come on top"
    )


def _too_large(one: GroupNeeds, device: Device) -> str:
    label = f" of {one.group}" if one.group else ""
    what = f"one run{label} alone" if one.fewest == 1 else f"a population of {one.fewest}{label}"
    return (
        f"{FLAG} {device.name}: {what} does not fit: it needs "
        f"{human(one.peak_bytes)}B or more, and {human(one.limit_bytes)}B can be used; make the "
        "net, the batch or the buffer smaller"
    )
