"""Measures how long each kernel of a training program takes, and adds them up by kind."""

import tempfile
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax

from research.benchmark.growth import LEAST_STEPS
from research.benchmark.kernels import Kernel, read_kernels
from research.benchmark.timing import Case, Ready
from research.errors import UserError

SECONDS = 0.1  # about what is recorded: small kernels are many, and each is an event
PROBED_STEPS = 8  # timed first, to know how many steps that is


class Spent(NamedTuple):
    """How long one kernel took, over the whole profile and all devices.

    Attributes:
      name: its name in the program.
      kernel: what it does.
      seconds: time in this kernel, without kernels that it calls and without the profiler's share.
      calls: how often it ran.
    """

    name: str
    kernel: Kernel
    seconds: float
    calls: int


class Profile(NamedTuple):
    """One call of a training program, kernel by kernel.

    Attributes:
      case, precision, runs: what was trained.
      steps: how many steps of each run.
      devices: how many devices took part.
      seconds: how long the call takes when nothing is recorded.
      recording: seconds that it takes to record one kernel, which are subtracted; kernels that are
        no longer than that are not known well.
      spent: how long each kernel took, longest first.
    """

    case: str
    precision: str
    runs: int
    steps: int
    devices: int
    seconds: float
    recording: float
    spent: list[Spent]

    def by_kind(self) -> dict[str, float]:
        """Returns the seconds of each kind of kernel, added up over devices, longest first."""
        total: dict[str, float] = defaultdict(float)
        for one in self.spent:
            total[one.kernel.kind] += one.seconds
        return dict(sorted(total.items(), key=lambda item: -item[1]))

    @property
    def idle(self) -> float:
        """Seconds in which devices ran no kernel of their own, added up over devices: they waited,
        started kernels or, on a CPU, helped with a matrix product of another device."""
        return max(0.0, self.devices * self.seconds - sum(one.seconds for one in self.spent))


class Event(NamedTuple):
    """A kernel, and when it ran, in nanoseconds: what a profiler records."""

    name: str
    start: float
    end: float


def profile_case(case: Case, runs: int) -> Profile:
    """Trains a case and returns how long each of its kernels takes.

    To record an event takes a CPU about 1 us, as long as a small kernel takes. How much longer the
    recorded call took than an unrecorded one is subtracted, the same from each event.

    Raises:
      UserError: if the profiler saw no kernel.
    """
    probe = Ready(case, runs, PROBED_STEPS, cold=False, one_call=True)
    steps = max(LEAST_STEPS, round(SECONDS * PROBED_STEPS / probe.repeat()))
    ready = Ready(case, runs, steps, cold=False, one_call=True)
    seconds = min(ready.repeat() for _ in range(3))
    _record(ready)  # the first is slower: the profiler touches memory of its own
    lanes = _record(ready)
    events = [event for lane in lanes for event in lane]
    if not events:
        raise UserError(f"{case.name}: the profiler of {jax.default_backend()} saw no kernel")
    program: Any = next(iter(ready.program.train.values()))
    recorded = max(event.end for event in events) - min(event.start for event in events)
    recorded, devices = recorded / 1e9, ready.program.layout.devices
    recording = max(0.0, devices * (recorded - seconds) / len(events))
    spent = _add_up(lanes, read_kernels(program.as_text()), recording)
    # Recording does not cost all kernels quite the same: their sum is at most the whole.
    total = sum(one.seconds for one in spent)
    factor = min(1.0, devices * seconds / total) if total else 1.0
    spent = [one._replace(seconds=factor * one.seconds) for one in spent]
    return Profile(case.name, case.precision, runs, steps, devices, seconds, recording, spent)


def _record(ready: Ready) -> list[list[Event]]:
    """Trains for another repeat and returns the kernels that each stream or thread ran."""
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder, profiler_options=options):
            ready.repeat()
        (path,) = Path(folder).rglob("*.xplane.pb")
        with warnings.catch_warnings():
            # Python 3.12 warns of types of JAX's reader that name no module; as an error, in the
            # midst of its C++, that would end the process.
            warnings.simplefilter("ignore", DeprecationWarning)
            return [list(lane) for lane in _lanes(jax.profiler.ProfileData.from_file(str(path)))]


def _lanes(profile: Any) -> Iterator[Iterable[Event]]:
    """Yields the kernels of each stream of a device, or thread of a CPU, in order."""
    planes = list(profile.planes)
    devices = [plane for plane in planes if plane.name.startswith("/device:")]
    for plane in devices or planes:
        for line in plane.lines:
            yield filter(None, map(_kernel_event, line.events))


def _kernel_event(event: Any) -> Event | None:
    """Returns a profiler's event as an `Event`; None if it is not of a kernel."""
    for name, value in event.stats:
        if name == "hlo_op":
            return Event(str(value), event.start_ns, event.start_ns + event.duration_ns)
    return None


def _add_up(
    lanes: Iterable[Iterable[Event]], kernels: dict[str, Kernel], recording: float
) -> list[Spent]:
    seconds: dict[str, float] = defaultdict(float)
    calls: dict[str, int] = defaultdict(int)
    for lane in lanes:
        for event, nanoseconds in own_time(lane):
            seconds[event.name] += nanoseconds / 1e9
            calls[event.name] += 1
    unknown = Kernel("not in the program", "", "")
    spent = [
        Spent(name, kernels.get(name, unknown), max(0.0, seconds[name] - recording * count), count)
        for name, count in calls.items()
    ]
    return sorted(spent, key=lambda one: -one.seconds)


def own_time(events: Iterable[Event]) -> Iterator[tuple[Event, float]]:
    """Yields each event of a thread with the nanoseconds that it spends outside the events within
    it: a loop encloses the kernels of its body."""
    open_events: list[tuple[Event, float]] = []  # and the time of those within
    for event in sorted(events, key=lambda event: (event.start, -event.end)):
        while open_events and open_events[-1][0].end <= event.start:
            yield _close(open_events)
        open_events.append((event, 0.0))
    while open_events:
        yield _close(open_events)


def _close(open_events: list[tuple[Event, float]]) -> tuple[Event, float]:
    event, within = open_events.pop()
    length = event.end - event.start
    if open_events:
        around, others = open_events.pop()
        open_events.append((around, others + length))
    return event, length - within
