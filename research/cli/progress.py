"""Shows the progress of a sweep: one live line in a terminal, plain lines elsewhere."""

import time

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from scipy.stats import trim_mean

from research.console import say
from research.engine.metrics import Record, diverged_runs, value
from research.plain_text import count_of, human, one_line
from research.task import Task

PLAIN_EVERY = 5.0  # seconds between lines where there is no terminal


class SweepProgress:
    """Shows done/total, time left, throughput and the key metric of the runs.

    Use as a context manager; call `update` with every record.
    """

    def __init__(
        self,
        console: Console,
        task: Task,
        runs: int,
        steps: int,
        label: str,
        in_work: bool = False,
        start: int = 0,
    ):
        self.console, self.task, self.label = console, task, one_line(label)
        self.runs, self.start, self.steps = runs, start, steps
        self.unit = task.work_unit if in_work else "steps"
        self.shown = task.work_after if in_work else (lambda step: step)
        self.key_metric = ""
        self._said = time.perf_counter()
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.completed:,}/{task.total:,} " + self.unit, markup=False),
            TimeRemainingColumn(),
            TextColumn("left", markup=False),
            TextColumn("{task.fields[facts]}", markup=False),
            console=console,
            disable=not console.is_terminal,
        )
        self._line = self._bar.add_task(self.label, total=self.shown(steps), facts="")

    def __enter__(self) -> "SweepProgress":
        self._bar.start()
        return self

    def __exit__(self, *_) -> None:
        self._bar.stop()

    def update(self, record: Record) -> None:
        """Shows how far the runs are, after a chunk."""
        done, total = self.shown(record.chunk.end), self.shown(self.steps)
        rate = (done - self.shown(self.start)) * self.runs / record.seconds
        if self.task.key_metric in record.evaluated:
            self.key_metric = summary(self.task, record)
        facts = f"{human(rate)} {self.unit}/s  {self.key_metric}"
        self._bar.update(self._line, completed=done, facts=facts)
        now = time.perf_counter()
        if self.console.is_terminal or (now - self._said < PLAIN_EVERY and done < total):
            return
        self._said = now
        ahead, behind = self.steps - record.chunk.end, record.chunk.end - self.start
        left = record.seconds * ahead / behind
        line = f"{self.label}  {done:,}/{total:,} {self.unit}  {left:.0f} s left  {facts}"
        say(self.console, line)


def summary(task: Task, record: Record) -> str:
    """Returns the key metric's interquartile mean over the runs that have not diverged, in words.

    Args:
      task: names the metric.
      record: of a chunk that was evaluated.
    """
    diverged = [run for run, _ in diverged_runs(record.diverged)]
    if len(diverged) == len(record.diverged):
        return f"{task.key_metric} finite in no run"
    mean = record.evaluated[task.key_metric]
    defined = np.delete(np.asarray(mean.weight) != 0, diverged)
    values = np.delete(value(mean), diverged)[defined]
    if not len(values):
        return f"{task.key_metric} defined in no run"
    left_out = len(record.diverged) - len(values)
    note = count_of(len(values), "run") + (f", {left_out} left out" if left_out else "")
    return f"{task.key_metric} {trim_mean(values, 0.25):.4g} (IQM of {note})"
