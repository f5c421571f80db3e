"""Writes a benchmark to a file and reads it back."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from research.atomic import write_bytes
from research.benchmark.ceilings import Ceilings
from research.benchmark.growth import Growth
from research.benchmark.target import Reached
from research.benchmark.timing import Making, Timing
from research.errors import UserError, cannot_write

FORMAT = 1
IN_FILES = {"baselines": "peers", "baseline": "peer"}  # names in files of that format


class BaselineResult(NamedTuple):
    """How fast a baseline does the work of a case.

    Attributes:
      case, precision: the case that it is compared with.
      baseline: its name.
      how: how it is started, such as "one process a core".
      runs: how many runs it trains at once, in all its processes.
      units_per_second: units of work per second of all of them.
      checked: what was found equal to the case, such as "9,610 params, batch 64".
      ours: units of work per second of the case, measured in the same turn.
      ours_runs: how many runs of the case train at once.
    """

    case: str
    precision: str
    baseline: str
    how: str
    runs: int
    units_per_second: float
    checked: str
    ours: float
    ours_runs: int


class Benchmark(NamedTuple):
    """One run of `scripts/bench`.

    Attributes:
      machine: devices, versions, commit and time.
      ceilings: the best that the machine can do.
      growths: the throughput of each case, with more and more runs.
      targets: how long sweeps take to reach a score.
      baselines: the throughput of other libraries.
    """

    machine: dict[str, Any]
    ceilings: Ceilings
    growths: list[Growth]
    targets: list[Reached]
    baselines: list[BaselineResult]

    @property
    def name(self) -> str:
        """The machine and its version of JAX, in a line."""
        device, versions = self.machine["device"], self.machine["versions"]
        kind = device["processor"] if device["platform"] == "cpu" else device["kind"]
        count = device["cores"] if device["platform"] == "cpu" else device["count"]
        return f"{count} x {kind}, jax {versions['jax']}"


def save(benchmark: Benchmark, path: Path) -> None:
    """Writes a benchmark as JSON.

    Raises:
      UserError: if it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, (json.dumps(to_json(benchmark), indent=1) + "\n").encode())
    except OSError as error:
        raise cannot_write(path, error, "--out") from None


def to_json(benchmark: Benchmark) -> dict[str, Any]:
    """Returns a benchmark in JSON types, with named tuples as objects."""
    return {"format": FORMAT, **_plain(benchmark)}


def _plain(value: Any) -> Any:
    if hasattr(value, "_asdict"):
        return {IN_FILES.get(name, name): _plain(one) for name, one in value._asdict().items()}
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value


def load(path: str | Path) -> Benchmark:
    """Reads the file that `save` wrote.

    Raises:
      UserError: if there is no such file, or it holds no benchmark.
    """
    try:
        found = json.loads(Path(path).read_text("utf-8"))
        if found["format"] != FORMAT:
            raise UserError(f"{path} is in format {found['format']}; this reads {FORMAT}")
        return Benchmark(
            machine=found["machine"],
            ceilings=Ceilings(**found["ceilings"]),
            growths=[_growth(one) for one in found["growths"]],
            targets=[Reached(**one) for one in found["targets"]],
            baselines=[_baseline(one) for one in found["peers"]],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is no file of scripts/bench: {error}") from None


def _growth(found: dict[str, Any]) -> Growth:
    timings = [Timing(**one | {"making": Making(**one["making"])}) for one in found["timings"]]
    return Growth(found["case"], found["precision"], found["unit"], timings, found["stopped_by"])


def _baseline(found: dict[str, Any]) -> BaselineResult:
    in_code = {in_file: name for name, in_file in IN_FILES.items()}
    return BaselineResult(**{in_code.get(name, name): value for name, value in found.items()})


def common(
    first: Sequence[Growth], second: Sequence[Growth]
) -> list[tuple[Growth, Timing, Timing]]:
    """Returns each case that two benchmarks both timed, with both timings."""
    others = {
        (one.case, one.precision, timing.runs): timing for one in second for timing in one.timings
    }
    return [
        (one, timing, others[one.case, one.precision, timing.runs])
        for one in first
        for timing in one.timings
        if (one.case, one.precision, timing.runs) in others
    ]
