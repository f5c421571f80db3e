"""Formats a benchmark as tables."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from research.accelerators.devices import Device
from research.benchmark.compile_for import NO_FIT, CompiledCase
from research.benchmark.growth import Growth, log_log_slopes
from research.benchmark.profiling import Profile
from research.benchmark.record import BaselineResult, Benchmark, common
from research.benchmark.roofline import share_of_ceiling
from research.benchmark.timing import Timing
from research.plain_text import count_of, duration, human, markdown_table

OURS = "Seedbed"  # as `BaselineResult` names it and the forms
PROCESS_A_CORE, ONE_PROCESS = "one process a core", "all threads"
_PARENTHESES = re.compile(r" \(.*?\)")
LONGEST = 20  # kernels of a profile that the table names
SOURCE_WIDTH = 60  # characters of where a kernel comes from


class Rows(NamedTuple):
    """A table.

    Attributes:
      title: the line above it.
      names: the headings of its columns.
      rows: the cells of each row, as text.
    """

    title: str
    names: Sequence[str]
    rows: Sequence[Sequence[str]]


def ceilings_line(benchmark: Benchmark) -> str:
    """Returns the ceilings of the machine, in one line of text."""
    products = ", ".join(
        f"{human(rate)}FLOP/s {name}" for name, rate in benchmark.ceilings.flops_per_second.items()
    )
    return f"matrix products {products}; copies {human(benchmark.ceilings.bytes_per_second)}B/s"


def growth_table(benchmark: Benchmark, growth: Growth) -> Rows:
    """Returns a table with a row for each number of runs."""
    slopes = ["", *(f"{slope:.2f}" for slope in log_log_slopes(growth.timings))]
    rows = []
    for timing, slope in zip(growth.timings, slopes, strict=True):
        share = share_of_ceiling(timing, growth.precision, benchmark.ceilings)
        making = timing.making
        rows.append(
            (
                f"{timing.runs:,}",
                f"{human(timing.units_per_second)} [{human(timing.low)}, {human(timing.high)}]",
                human(timing.units_per_second / timing.runs),
                slope,
                f"{share.compute:.1%}",
                f"{share.bandwidth:.1%}",
                f"{making.trace + making.lower:.1f}",
                f"{making.compile:.1f}",
                "-" if making.cached is None else f"{making.cached:.1f}",
                f"{timing.first_call:.2f}",
                f"{human(timing.peak_bytes)}B",
            )
        )
    title = f"{growth.case}, {growth.precision}; {growth.unit}/s without evaluation"
    names = (
        "runs", f"{growth.unit}/s [quartiles]", "of a run", "slope", "of FLOP/s", "of copies",
        "trace s", "compile s", "cached s", "first call s", "memory",
    )  # fmt: skip
    return Rows(f"{title}; ended by {growth.stopped_by}", names, rows)


def summary_table(benchmark: Benchmark) -> Rows:
    """Returns the table of `experiments/results/README.md`, with a row for each case."""
    rows = []
    for growth in benchmark.growths:
        one, best, enough = growth.timings[0], growth.best, growth.saturation
        lone = one.runs == 1
        share = share_of_ceiling(best, growth.precision, benchmark.ceilings)
        rows.append(
            (
                growth.case,
                growth.precision,
                f"{human(one.units_per_second)} {growth.unit}/s" if lone else "-",
                f"{human(best.units_per_second)} with {best.runs:,}",
                f"{best.units_per_second / one.units_per_second:.1f}x" if lone else "-",
                f"{enough.runs:,}",
                f"{share.compute:.0%}",
                f"{share.bandwidth:.0%}",
                _baselines_cell(benchmark, growth),
            )
        )
    names = ("case", "precision", "one run", "best", "gain", "saturated by", "of peak FLOP/s",
             "of copies", "ours over baselines")  # fmt: skip
    return Rows(benchmark.name, names, rows)


def same_form_table(benchmark: Benchmark) -> Rows:
    """Returns the table of the README: a row for each float32 case that a baseline trains as well,
    beside the strongest one of the same form.

    Both have one process a core; the last column has one process of each. On a GPU, which processes
    do not share, all columns have one process of each.
    """
    rows = []
    for growth in benchmark.growths:
        apart, whole = (_strongest(benchmark, growth, how) for how in (PROCESS_A_CORE, ONE_PROCESS))
        best = apart or whole
        if growth.precision != "float32" or best is None:
            continue
        rows.append(
            (
                f"{growth.case} ({_PARENTHESES.sub('', best.checked)})",
                f"{human(best.ours)} {growth.unit}/s",
                f"{human(best.units_per_second)} {growth.unit}/s, {best.baseline}",
                f"{best.ours / best.units_per_second:.3g}x",
                f"{whole.ours / whole.units_per_second:.3g}x, {whole.baseline}" if whole else "",
            )
        )
    names = "what is trained", "ours", "best baseline", "ratio", "one process each"
    return Rows(benchmark.name, names, rows)


def _strongest(benchmark: Benchmark, growth: Growth, how: str) -> BaselineResult | None:
    """Returns the baseline of a form that comes nearest to ours or beats it, beside ours in the
    same form; None if either was not measured."""
    beside = [one for one in benchmark.baselines if one.how == how]
    beside = [one for one in beside if (one.case, one.precision) == (growth.case, growth.precision)]
    others = [one for one in beside if one.baseline != OURS]
    if how == PROCESS_A_CORE:  # where `ours` of a result is one process
        rates = [one.units_per_second for one in beside if one.baseline == OURS]
        others = [one._replace(ours=rate) for one in others for rate in rates]
    return min(others, key=lambda one: one.ours / one.units_per_second, default=None)


def _baselines_cell(benchmark: Benchmark, growth: Growth) -> str:
    return "; ".join(
        f"{one.ours / one.units_per_second:.3g}x {one.baseline} ({one.how})"
        for one in benchmark.baselines
        if (one.case, one.precision) == (growth.case, growth.precision)
    )


def baselines_table(benchmark: Benchmark) -> Rows:
    """Returns a table with a row for each baseline, beside ours."""
    rows = [
        (
            f"{one.case}, {one.precision}",
            f"{one.baseline}, {one.how}",
            f"{human(one.units_per_second)} with {one.runs}",
            f"{human(one.ours)} with {one.ours_runs:,}",
            f"{one.ours / one.units_per_second:.3g}x",
            one.checked,
        )
        for one in benchmark.baselines
    ]
    names = ("case", "baseline", "units/s", "ours", "ratio", "found equal")
    return Rows("Baselines, measured in turn with ours", names, rows)


def targets_table(benchmark: Benchmark) -> Rows:
    """Returns a table with a row for each sweep that was timed until it reached a score."""
    rows = [
        (
            one.name,
            f"{one.metric} {one.goal:g}",
            f"{one.runs}",
            "not reached" if one.seconds is None else f"{one.seconds:.1f} s",
            "" if one.seconds is None else f"{one.seconds / one.runs:.2f} s",
            f"{one.compile_seconds:.1f} s",
            f"{one.units:,} {one.unit}",
            f"{one.median:.4g}",
        )
        for one in benchmark.targets
    ]
    names = ("sweep", "median of the runs to reach", "runs", "time, evaluations included",
             "a run", "compiling before", "of each run", "median then")  # fmt: skip
    return Rows("Time to a score", names, rows)


def compare_table(first: Benchmark, second: Benchmark, files: Sequence[str] = ("", "")) -> Rows:
    """Returns a table of the cases that two benchmarks both timed: the second over the first.

    Args:
      first, second: the benchmarks.
      files: what to call them, beside their machines.
    """
    rows = []
    for growth, one, other in common(first.growths, second.growths):
        ratio = other.units_per_second / one.units_per_second
        alike = abs(ratio - 1) <= max(_noise(one), _noise(other))
        rows.append(
            (
                growth.case,
                growth.precision,
                f"{one.runs:,}",
                f"{human(one.units_per_second)} [{human(one.low)}, {human(one.high)}]",
                f"{human(other.units_per_second)} [{human(other.low)}, {human(other.high)}]",
                f"{ratio:.2f}x" + ", alike" * alike,
            )
        )
    names = [
        f"{file}\n{one.name}".strip() for file, one in zip(files, (first, second), strict=True)
    ]
    columns = ("case", "precision", "runs", *names, "second over first")
    title = (
        "Units of work a second, median and quartiles; alike: they differ by no more than half the "
        "distance of the quartiles of one of them"
    )
    return Rows(title, columns, rows)


def _noise(timing: Timing) -> float:
    """How much a timing varies: half the distance of its quartiles, as a share of its median."""
    return (timing.high - timing.low) / 2 / timing.units_per_second


def compiled_table(found: Sequence[CompiledCase], device: Device) -> Rows:
    """Returns a table of programs that were compiled for a device, with predicted throughputs.

    A TPU runs a whole program as one launch, so that kernels are not counted there.
    """
    rows = [_compiled_row(one, bool(device.launch_seconds)) for one in found]
    names = (
        "case", "precision", "runs", "kernels a step", "copies", "waits", "temporaries", "memory",
        "runs that fit", "predicted at most", "bound by", "compiled s",
    )  # fmt: skip
    title = f"Compiled for {device.description}, which was not there: throughput is predicted"
    return Rows(title, names, rows)


def _compiled_row(one: CompiledCase, counted: bool) -> tuple[str, ...]:
    begin = one.case, one.precision, f"{one.runs:,}"
    end = one.bound if one.fits else NO_FIT, f"{one.seconds:.1f}"
    if one.bound == NO_FIT:
        return (*begin, *["-"] * 7, *end)
    launches = f"{one.kernels:.1f}", f"{one.copies:.1f}", f"{one.waits}"
    return (
        *begin,
        *(launches if counted else ["-"] * 3),
        f"{human(one.temp_bytes)}B",
        f"{human(one.peak_bytes)}B",
        f"{one.most_runs:,}",
        f"{human(one.units_per_second)} {one.unit}/s" if one.fits else "-",
        *end,
    )


def profile_tables(profile: Profile) -> list[Rows]:
    """Returns a table of how long each kind of kernel takes, and one of the longest kernels."""
    whole = profile.devices * profile.seconds
    kinds = profile.by_kind() | {"none of its own": profile.idle}
    shares = [
        (kind, f"{seconds / whole:.1%}", duration(seconds / profile.devices / profile.steps))
        for kind, seconds in kinds.items()
    ]
    title = (
        f"{profile.case}, {profile.precision}, {count_of(profile.runs, 'run')}, "
        f"{count_of(profile.steps, 'step')} on {count_of(profile.devices, 'device')}; the "
        f"{duration(profile.recording)} that recording a kernel takes are subtracted"
    )
    longest = [
        (
            f"{one.seconds / whole:.1%}",
            one.kernel.kind,
            f"{one.calls / profile.steps / profile.devices:.3g}",
            duration(one.seconds / one.calls),
            one.kernel.shape,
            _shortened(one.kernel.source or one.name),
        )
        for one in profile.spent[:LONGEST]
    ]
    names = ("share", "kind", "a step", "each", "result", "made from")
    return [
        Rows(title, ("kernels", "share of the time", "a step"), shares),
        Rows(f"The {len(longest)} kernels that take longest", names, longest),
    ]


def _shortened(source: str) -> str:
    return source if len(source) <= SOURCE_WIDTH else "..." + source[3 - SOURCE_WIDTH :]


def markdown(table: Rows) -> str:
    """Returns a table in Markdown, without its title."""
    return markdown_table(table.names, table.rows)
