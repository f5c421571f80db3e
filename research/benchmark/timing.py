"""Times one training program of R runs: how long it takes to compile, and how fast it trains."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import jax
import numpy as np

from research.engine import Cadence, compile_program, make_runs, plan_chunks, start_blocks
from research.engine.cadence import Chunk
from research.engine.compiling import forget_programs
from research.engine.one_run import forget_traces
from research.engine.program import Program
from research.task import HParams, Problem

REPEATS = 10
SECONDS = 0.2  # about what a repeat takes

EVENTS = {
    "/jax/core/compile/jaxpr_trace_duration": "trace",
    "/jax/core/compile/jaxpr_to_mlir_module_duration": "lower",
    "/jax/core/compile/backend_compile_duration": "compile",
}


class Case(NamedTuple):
    """A training program to be timed.

    Attributes:
      name: what it is called in tables.
      precision: the type of its matrix products.
      problem: task and data; evaluations are left out.
      hparams: the hyper-parameters of every run.
      first_steps: how many steps of a single run take about `SECONDS`: a first guess.
    """

    name: str
    precision: str
    problem: Problem
    hparams: HParams
    first_steps: int


class Making(NamedTuple):
    """How many seconds it takes to make the programs that train and evaluate.

    Attributes:
      trace: tracing Python functions to jaxprs.
      lower: lowering jaxprs to StableHLO.
      compile: compiling that, without a cache.
      cached: all three in a new process that finds the compiled programs in the cache; None if
        that was left out.
    """

    trace: float
    lower: float
    compile: float
    cached: float | None


class Timing(NamedTuple):
    """How fast R runs train on this machine.

    Attributes:
      runs: R.
      lanes, blocks: how many runs a device trains in lockstep, and how many such blocks there are.
      making: how long it takes to make their programs.
      first_call: seconds of the training program's first call, which touches new memory.
      steps: steps in a repeat.
      repeats: seconds of each repeat, after waiting for the device.
      units_per_second: units of work per second of all runs together: the median of the repeats.
      low, high: its quartiles.
      flops_per_unit: floating-point operations in a unit of work; see `count_flops`.
      bytes_per_unit: bytes of params and optimizer state read and written for a unit of work.
      peak_bytes: memory of one device that the compiler plans with.
    """

    runs: int
    lanes: int
    blocks: int
    making: Making
    first_call: float
    steps: int
    repeats: list[float]
    units_per_second: float
    low: float
    high: float
    flops_per_unit: float | None
    bytes_per_unit: float
    peak_bytes: int


class Ready:
    """Compiled programs and states of R runs, which can be timed again and again.

    Attributes:
      making: how long it took to make the programs.
      first_call: seconds of the first call.
      steps: steps in a repeat, which makes as many calls as take about `SECONDS`.
    """

    def __init__(
        self,
        case: Case,
        runs: int,
        steps: int,
        cold: bool = True,
        one_call: bool = False,
        cached: bool = True,
    ):
        """
        Args:
          case: what to time.
          runs: R.
          steps: steps in one call.
          cold: whether to measure how long making the programs takes; otherwise they may come from
            the cache, and `making` means nothing.
          one_call: whether a repeat is a single call, however short.
          cached: whether to make the programs once more, to measure how long that takes with a
            cache.
        """
        all_runs = make_runs(case.hparams, {}, range(runs))
        (self._chunk,) = _one_chunk(steps)
        self.case, self.runs = case, runs
        make = lambda: make_program(case, runs, steps)
        self.program, self.making = _make(make, cached) if cold else (make(), Making(0, 0, 0, 0))
        self._blocks = jax.block_until_ready(start_blocks(self.program, all_runs))
        self._called, self._calls = 0, 1
        self.first_call = self.repeat()
        if not one_call:
            self._calls = max(1, round(SECONDS / self.repeat()))
        self.steps = self._calls * steps

    def repeat(self) -> float:
        """Trains for another `steps` and returns how many seconds that took."""
        train = self.program.train[self._chunk.logs, self._chunk.log_every]
        began = time.perf_counter()
        for call in range(self._called, self._called + self._calls):
            start = np.int32(call * self._chunk.end)
            for place, block in enumerate(self._blocks):
                args = block.hparams, block.states, block.diverged, block.keys.step, start
                states, (_, diverged) = train(self.program.shared, *args)
                self._blocks[place] = block._replace(states=states, diverged=diverged)
        jax.block_until_ready(self._blocks)
        self._called += self._calls
        return time.perf_counter() - began

    def evaluate(self) -> float:
        """Evaluates all runs and returns how many seconds that took."""
        began = time.perf_counter()
        end = np.int32(self._called * self._chunk.end)
        for block in self._blocks:
            args = block.hparams, block.states, block.diverged, block.keys.evaluate, end
            assert self.program.evaluate is not None  # its one chunk ends with an evaluation
            jax.block_until_ready(self.program.evaluate(self.program.shared, *args))
        return time.perf_counter() - began

    def units(self, seconds: float) -> float:
        """Returns units of work per second of all runs, for a repeat that took so many seconds."""
        return self.runs * self.steps * self.case.problem.task.work_per_step / seconds

    def carried_bytes(self) -> float:
        """Returns how many bytes the params and optimizer state of one run have."""
        state = self._blocks[0].states
        leaves = jax.tree.leaves([getattr(state, name, ()) for name in ("params", "opt_state")])
        return sum(leaf.nbytes / len(leaf) for leaf in leaves)


def make_program(case: Case, runs: int, steps: int) -> Program:
    """Compiles the programs of R runs, with `steps` in a call; those that JAX still has in memory
    it does not compile again."""
    all_runs = make_runs(case.hparams, {}, range(runs))
    return compile_program(case.problem, all_runs, _one_chunk(steps))


def _one_chunk(steps: int) -> list[Chunk]:
    return plan_chunks(steps, Cadence(steps, steps, steps))


def time_case(
    case: Case, runs: int, steps: int, repeats: int = REPEATS, cached: bool = True
) -> Timing:
    """Makes the programs of a case and times them.

    Args:
      case: what to time.
      runs: R.
      steps: steps in one call.
      repeats: how many times to measure.
      cached: as of `Ready`.
    """
    return time_ready(Ready(case, runs, steps, cached=cached), repeats)


def time_ready(ready: Ready, repeats: int = REPEATS) -> Timing:
    """Times the programs of a case that are made already."""
    seconds = [ready.repeat() for _ in range(repeats)]
    low, middle, high = np.quantile([ready.units(one) for one in seconds], [0.25, 0.5, 0.75])
    work, cost = ready.case.problem.task.work_per_step, ready.program.cost
    return Timing(
        runs=ready.runs,
        lanes=ready.program.layout.lanes,
        blocks=ready.program.layout.blocks,
        making=ready.making,
        first_call=ready.first_call,
        steps=ready.steps,
        repeats=seconds,
        units_per_second=float(middle),
        low=float(low),
        high=float(high),
        flops_per_unit=cost.flops_per_step / work,
        bytes_per_unit=2 * ready.carried_bytes() / work,
        peak_bytes=cost.peak_bytes,
    )


def _make(make: Callable[[], Program], cached: bool) -> tuple[Program, Making]:
    """Makes a program without a cache and, if `cached`, once more from one, and measures how long
    each takes."""
    with tempfile.TemporaryDirectory() as folder, _cache_in(folder):
        _forget()
        with _durations() as spent:
            program = make()
        again = _time_again(make) if cached else None
    return program, Making(cached=again, **{name: sum(spent[name]) for name in spent})


def _time_again(make: Callable[[], Program]) -> float:
    """Returns how many seconds it takes to make a program whose compiled parts are in the cache."""
    _forget()
    began = time.perf_counter()
    make()
    return time.perf_counter() - began


def _forget() -> None:
    """Frees everything that JAX keeps in memory, as if the process had just begun."""
    forget_traces()
    forget_programs()


@contextmanager
def _durations() -> Iterator[dict[str, list[float]]]:
    """Yields the seconds that JAX spends on each of `EVENTS` while the context is open."""
    spent: dict[str, list[float]] = {name: [] for name in EVENTS.values()}

    def listen(event: str, duration_secs: float, **_: str | int) -> None:
        if event in EVENTS:
            spent[EVENTS[event]].append(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield spent
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


@contextmanager
def _cache_in(folder: str) -> Iterator[None]:
    """Moves the compilation cache to a folder while the context is open."""
    from jax.experimental.compilation_cache import compilation_cache

    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: getattr(jax.config, name) for name in names}
    for name, value in zip(names, (folder, 0.0), strict=True):
        jax.config.update(name, value)
    compilation_cache.reset_cache()
    try:
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()
