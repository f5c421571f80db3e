"""Where the time of a training program goes, by what its kernels do."""

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

SECONDS = 0.1  # that is recorded, about: of small kernels there are many, and each is an event
PROBED_STEPS = 8  # to find out how many steps that is


class Spent(NamedTuple):
    """One kernel, over the whole profile and all devices.

    Attributes:
      name: that the program has for it.
      kernel: what it does.
      seconds: in it alone, without those that it calls, and without what writing that down took.
      calls: how often.
    """

    name: str
    kernel: Kernel
    seconds: float
    calls: int


class Profile(NamedTuple):
    """A call of a training program.

    Attributes:
      case, precision, runs: what was trained.
      steps: of each run.
      devices: that took part.
      seconds: that the call takes when nothing is recorded.
      recording: seconds that it takes to record one call of a kernel, which are taken off; what is
        no longer than that is not known well.
      spent: of each kernel, longest first.
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
        """Seconds of each kind of kernel, longest first; all devices together."""
        total: dict[str, float] = defaultdict(float)
        for one in self.spent:
            total[one.kernel.kind] += one.seconds
        return dict(sorted(total.items(), key=lambda item: -item[1]))

    @property
    def idle(self) -> float:
        """Seconds in which devices ran no kernel of their own, all together: they waited, started
        kernels or, on a CPU, helped with a product of another device."""
        return max(0.0, self.devices * self.seconds - sum(one.seconds for one in self.spent))


class Event(NamedTuple):
    """What a profiler records: a kernel, and when it ran, in nanoseconds."""

    name: str
    start: float
    end: float


def profile_case(case: Case, runs: int) -> Profile:
    """Trains and records it.

    To write an event down takes a CPU about 1 us, as long as a small kernel. What the recorded call
    took longer than one that is not recorded is taken off, the same for each event.

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
    # What recording costs is not quite the same for all: no more than the whole is shared out.
    total = sum(one.seconds for one in spent)
    factor = min(1.0, devices * seconds / total) if total else 1.0
    spent = [one._replace(seconds=factor * one.seconds) for one in spent]
    return Profile(case.name, case.precision, runs, steps, devices, seconds, recording, spent)


def _record(ready: Ready) -> list[list[Event]]:
    """Trains on, and returns what each stream or thread did."""
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
    """The kernels of each stream of a device, or thread of a CPU, in order."""
    planes = list(profile.planes)
    devices = [plane for plane in planes if plane.name.startswith("/device:")]
    for plane in devices or planes:
        for line in plane.lines:
            yield filter(None, map(_kernel_event, line.events))


def _kernel_event(event: Any) -> Event | None:
    """None if it is no kernel's."""
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
    """Each event of a thread with the nanoseconds that no event within it takes: a loop encloses
    the kernels of its body."""
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
