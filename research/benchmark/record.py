"""A benchmark as a file, and read back."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from research.atomic import write_bytes
from research.benchmark.ceilings import Ceilings
from research.benchmark.growth import Growth
from research.benchmark.target import Reached
from research.benchmark.timing import Making, Timing
from research.errors import UserError

FORMAT = 1


class PeerResult(NamedTuple):
    """What other code does of the same work.

    Attributes:
      case, precision: that it is compared with.
      peer: what it is.
      how: such as "one process a core".
      runs: that it trains at once, in all its processes.
      units_per_second: of all of them.
      checked: what was found equal to ours, such as "params 9,610, batch 64".
      ours: units per second of ours, measured right before.
      ours_runs: how many runs that is with.
    """

    case: str
    precision: str
    peer: str
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
      ceilings: of the machine.
      growths: a case each.
      targets: how long to a quality.
      peers: what else was measured.
    """

    machine: dict[str, Any]
    ceilings: Ceilings
    growths: list[Growth]
    targets: list[Reached]
    peers: list[PeerResult]

    @property
    def name(self) -> str:
        """The machine and its JAX, in a line."""
        device, versions = self.machine["device"], self.machine["versions"]
        kind = device["processor"] if device["platform"] == "cpu" else device["kind"]
        count = device["cores"] if device["platform"] == "cpu" else device["count"]
        return f"{count} x {kind}, jax {versions['jax']}"


def save(benchmark: Benchmark, path: Path) -> None:
    """Writes it as JSON.

    Raises:
      UserError: if it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, (json.dumps(to_json(benchmark), indent=1) + "\n").encode())
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; give another --out") from None


def to_json(benchmark: Benchmark) -> dict[str, Any]:
    """In JSON types: named tuples as objects."""
    return {"format": FORMAT, **_plain(benchmark)}


def _plain(value: Any) -> Any:
    if hasattr(value, "_asdict"):
        return {name: _plain(one) for name, one in value._asdict().items()}
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value


def load(path: str | Path) -> Benchmark:
    """Reads what `save` wrote.

    Raises:
      UserError: if it is not there, or no such file.
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
            peers=[PeerResult(**one) for one in found["peers"]],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is no file of scripts/bench: {error}") from None


def _growth(found: dict[str, Any]) -> Growth:
    timings = [Timing(**one | {"making": Making(**one["making"])}) for one in found["timings"]]
    return Growth(found["case"], found["precision"], found["unit"], timings, found["stopped_by"])


def common(
    first: Sequence[Growth], second: Sequence[Growth]
) -> list[tuple[Growth, Timing, Timing]]:
    """What two benchmarks both timed: the case, and the timing of each."""
    others = {
        (one.case, one.precision, timing.runs): timing for one in second for timing in one.timings
    }
    return [
        (one, timing, others[one.case, one.precision, timing.runs])
        for one in first
        for timing in one.timings
        if (one.case, one.precision, timing.runs) in others
    ]
