"""Part 2: how fast every case trains with 1 to 4,096 runs, and how long evaluating takes."""

from collections.abc import Sequence
from itertools import groupby

from research.benchmark.gpu_check.processes import Found
from research.benchmark.gpu_check.results import PartResults
from research.plain_text import count_of, human


def measure(part: PartResults) -> None:
    """Times the points of the plan in their order, as many as there is time for."""
    plan = part.plan
    part.collect("rates", {"points": plan.points(), "repeats": plan.repeats})


def describe(results: Sequence[Found]) -> list[str]:
    """Returns a line for each case and precision, and one for its evaluations."""
    kind = lambda one: (one["case"], one["precision"], one["what"])
    lines = []
    for (case, precision, what), group in groupby(sorted(results, key=kind), kind):
        points = sorted(group, key=lambda one: one["runs"])
        shown = ", ".join(f"{_value(one)} with {one['runs']:,}" for one in points)
        unit = "seconds an evaluation" if what == "evaluation" else f"{points[0]['unit']}/s"
        lines.append(f"{case}, {precision}: {unit}: {shown}")
    return lines


def _value(one: Found) -> str:
    if one["what"] == "evaluation":
        waits = one["waits"]
        loops = "unknown loops" if waits is None else count_of(waits, "waiting loop")
        return f"{one['evaluation_seconds']:.3g} ({loops})"
    return human(one["units_per_second"])
