"""Prints what a sweep reports: what it is, what it costs, how fast it was, what went wrong."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from research.cli.progress import OverallProgress, SweepProgress
from research.cli.signals import stop_request
from research.console import say, waiting
from research.engine.metrics import Record
from research.engine.program import Program
from research.plain_text import count_of, human
from research.runs.early_stop import stops_in_words
from research.runs.experiment import Experiment, Part
from research.runs.observer import Observer, Stopping
from research.runs.session import device_facts
from research.task import Task

MOST_NAMED = 10  # diverged runs


class TerminalObserver(Observer):
    """Prints to a console how a sweep goes, and asks it to stop at SIGTERM, SIGINT and SIGHUP."""

    def __init__(self, console: Console | None = None, whole: bool = True):
        """
        Args:
          console: to print to.
          whole: whether to show how far the whole sweep is, beside each job; a launcher does so
            for all its workers.
        """
        self.console, self._shows_whole = console or Console(), whole
        self._whole: OverallProgress | None = None

    def say(self, line: str) -> None:
        say(self.console, line)

    def begin(
        self, experiment: Experiment, parts: Sequence[Part], folder: Path, resumed: bool
    ) -> None:
        where = "resumed in" if resumed else "recorded in"
        self._whole = OverallProgress(self.console, folder) if self._shows_whole else None
        for line in experiment_lines(experiment, parts, folder, where):
            self.say(line)

    def compiled(self, label: str, program: Program) -> None:
        self.say(f"{label}: {cost_line(program)}")

    def trained(self, label: str, result: Mapping[str, Any], runs: int, task: Task) -> None:
        print_diverged(self.console, result["diverged"], runs)
        self.say(f"{label}: {trained_line(result, task)}")
        if result["stopped"]:
            self.say(f"{label}: {stopped_line(result)}")

    def waiting(self, text: str) -> contextlib.AbstractContextManager[Any]:
        return waiting(self.console, text)

    @contextlib.contextmanager
    def progress(
        self, label: str, task: Task, runs: int, start: int, stop: int, in_work: bool
    ) -> Iterator[Callable[[Record], None]]:
        shown = SweepProgress(
            self.console, task, runs, stop, label, in_work, start, whole=self._whole
        )
        with shown:
            yield shown.update

    def stopping(self) -> contextlib.AbstractContextManager[Stopping]:
        return stop_request()


def experiment_lines(
    experiment: Experiment, parts: Sequence[Part], folder: Path, where: str
) -> Sequence[str]:
    """Returns how many runs there are, of what, and where they are recorded; `where` is the
    verb."""
    runs, seeds = sum(len(part.group.runs) for part in parts), len(experiment.seeds)
    facts = device_facts()
    lengths = sorted({_length(experiment, part) for part in parts})
    length = " or ".join(f"{length:,}" for length in lengths)
    unit = parts[0].problem.task.work_unit if experiment.in_work else "steps"
    kind = facts["processor"] if facts["platform"] == "cpu" else facts["kind"]
    return (
        f"{experiment.name}: {count_of(runs, 'run')} = {count_of(runs // seeds, 'setting')} x "
        f"{count_of(seeds, 'seed')}, "
        f"{length} {unit} each, on {facts['count']} x {facts['platform']} ({kind})",
        f"{experiment.name}: {where} {folder}",
    )


def _length(experiment: Experiment, part: Part) -> int:
    task = part.problem.task
    return task.work_after(part.steps) if experiment.in_work else part.steps


def cost_line(program: Program) -> str:
    """Returns compile time, FLOPs, memory and layout of a program, in words."""
    cost, layout = program.cost, program.layout
    cached = f" ({count_of(cost.cache_hits, 'program')} from the cache)" if cost.cache_hits else ""
    memory = human(cost.peak_bytes)
    flops = f"{human(cost.flops_per_step)} FLOP a step and run, " if cost.flops_per_step else ""
    turns = f", {layout.blocks} such blocks in turn" if layout.blocks > 1 else ""
    return (
        f"compiled in {cost.compile_seconds:.1f} s{cached}; {flops}{memory}B of memory a "
        f"device; {count_of(layout.devices, 'device')} x {count_of(layout.lanes, 'run')} in "
        f"lockstep{turns}"
    )


def trained_line(result: Mapping[str, Any], task: Task) -> str:
    """Returns how long a job took and how fast it went, in words."""
    line = f"trained in {result['train_seconds']:.1f} s"
    if speed := result["throughput"]:
        line += f"; in the steady state {human(speed['steps_per_second'])} steps/s, "
        if task.work_unit != "steps":
            line += f"{human(speed['work_per_second'])} {task.work_unit}/s, "
        line += f"{speed['runs_per_second']:.3g} runs/s"
        if "flops_per_second" in speed:
            line += f", {human(speed['flops_per_second'])} FLOP/s"
        line += ", all runs together"
    return line


def stopped_line(result: Mapping[str, Any]) -> str:
    """Returns how many runs of a job stopped early, and what that saved, in words."""
    start, stop, runs = result["start"], result["stop"], len(result["runs"])
    saved = sum(stop - max(one["step"], start) for one in result["stopped"])
    reasons = [one["why"] for one in result["stopped"]]
    return stops_in_words(reasons, runs, saved / (runs * (stop - start)))


def print_diverged(console: Console, diverged: Sequence[Mapping[str, Any]], runs: int) -> None:
    """Prints the runs that became non-finite, with step, seed and hyper-parameters."""
    if not diverged:
        return
    say(console, f"{len(diverged)} of {runs} runs became non-finite; the others are untouched:")
    for one in diverged[:MOST_NAMED]:
        facts = [f"{name} {_short(value)}" for name, value in one.items()]
        say(console, "  " + "  ".join(facts))
    if len(diverged) > MOST_NAMED:
        say(console, f"  and {len(diverged) - MOST_NAMED} more, named in manifest.json")


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
