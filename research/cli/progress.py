"""Shows the progress of a job, and of the whole sweep where it has several jobs: a live line each
in a terminal, plain lines elsewhere."""

import contextlib
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.progress import Task as Line
from rich.text import Text

from research.console import say
from research.engine.metrics import Record, diverged_runs, value
from research.errors import UserError
from research.plain_text import MOST_LETTERS, count_of, human, one_line, shortened
from research.runs.overall import Overall, Pace, measure, read_overall
from research.runs.run_folder import RunFolder
from research.task import Task

PLAIN_EVERY = 5.0  # seconds between lines where there is no terminal
WHOLE_EVERY = 30.0  # between those of the whole sweep
LOOK_EVERY = 2.0  # between looks at a folder that others train in
WIDE = 100  # columns of a terminal that have room for a long bar
FIGURES_WIDTH = 60  # of a line beside its name, about


class OverallProgress:
    """Shows one line for a whole sweep: runs done of all, the share of all steps, the time left.

    It is shown below the line of each job by `SweepProgress`; a launcher, whose workers print the
    lines of jobs, uses it as a context manager and calls `look`.
    """

    def __init__(self, console: Console, folder: Path):
        self.console, self.folder = console, folder
        self._pace: Pace | None = None
        self._looked, self._said = 0.0, time.monotonic()
        self._bar = _bar(console)

    def __enter__(self) -> "OverallProgress":
        self._bar.start()
        return self

    def __exit__(self, *_) -> None:
        self._looked = 0.0  # so that it ends with how far the workers came
        self.look()
        self._bar.stop()

    def before_job(self) -> Overall | None:
        """Returns how far the jobs are that have ended; None while the folder cannot be read."""
        with contextlib.suppress(OSError, UserError):
            folder = RunFolder(self.folder)
            groups = folder.manifest().get("groups", ())
            return measure(folder.plan(), folder.ended_jobs(), groups=groups)
        return None

    def left(self, overall: Overall) -> float | None:
        """Returns the seconds that are left, by the pace since the first call."""
        self._pace = self._pace or Pace(overall)
        return self._pace.seconds_left(overall)

    def look(self) -> None:
        """Reads the folder if the last look was a while ago, and shows how far it is."""
        now = time.monotonic()
        if now - self._looked < LOOK_EVERY:
            return
        self._looked = now
        with contextlib.suppress(OSError, UserError):
            self.show(self._bar, read_overall(self.folder))

    def show(self, bar: Progress, overall: Overall) -> None:
        """Shows how far the sweep is: as the last line of a bar in a terminal, and elsewhere, now
        and then, as a plain line."""
        left, now = self.left(overall), time.monotonic()
        if self.console.is_terminal:
            _show_overall(bar, overall, left)
        elif now - self._said >= WHOLE_EVERY:
            self._said = now
            say(self.console, f"all: {overall.in_words(left)}")


class _TimeLeft(TimeRemainingColumn):
    """The time left, as estimated by the bar unless the line knows better."""

    def render(self, task: Line) -> Text:
        known = task.fields["left"]
        return super().render(task) if known is None else Text(known, "progress.remaining")


class _Bars(Progress):
    """A line for each task, and one of facts below."""

    facts = ""

    def get_renderables(self) -> Iterator[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        if self.facts:
            yield Text(self.facts, overflow="ellipsis", no_wrap=True)


def _bar(console: Console) -> _Bars:
    return _Bars(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24 if console.width >= WIDE else 10),
        TextColumn("{task.fields[count]}", markup=False),
        _TimeLeft(),
        TextColumn("left", markup=False),
        console=console,
        disable=not console.is_terminal,
    )


def _show_overall(bar: Progress, overall: Overall, left: float | None) -> None:
    """Shows the whole sweep as the last line of a bar."""
    if not bar.tasks or bar.tasks[-1].description != "all":
        bar.add_task("all", total=overall.steps, count="", left="-:--:--")
    of = "planned steps" if overall.rungs else "steps"
    bar.update(
        bar.tasks[-1].id,
        completed=overall.done,
        total=overall.steps,
        count=f"{overall.ended:,}/{count_of(overall.runs, 'run')}, {overall.share:.0%} of {of}",
        left="-:--:--" if left is None else str(timedelta(seconds=int(left))),
    )


class SweepProgress:
    """Shows done/total, time left, throughput and the key metric of the runs of a job, and below
    how far the whole sweep is, where it has several jobs.

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
        whole: OverallProgress | None = None,
    ):
        self.console, self.task, self.label = console, task, one_line(label)
        self.runs, self.start, self.steps = runs, start, steps
        self.unit = task.work_unit if in_work else "steps"
        self.shown = task.work_after if in_work else (lambda step: step)
        self.key_metric = ""
        self._said = time.perf_counter()
        self._bar = _bar(console)
        count, total = self._count(start), self.shown(steps)
        name = shortened(self.label, max(console.width - FIGURES_WIDTH, MOST_LETTERS // 2))
        self._line = self._bar.add_task(name, total=total, count=count, left=None)
        self._whole, self._before = whole, whole.before_job() if whole else None

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
        count = self._count(record.chunk.end)
        self._bar.update(self._line, completed=done, count=count)
        self._bar.facts = f"  {facts}"
        self._show_whole(record.chunk.end)
        now = time.perf_counter()
        if self.console.is_terminal or (now - self._said < PLAIN_EVERY and done < total):
            return
        self._said = now
        ahead, behind = self.steps - record.chunk.end, record.chunk.end - self.start
        left = record.seconds * ahead / behind
        line = f"{self.label}  {done:,}/{total:,} {self.unit}  {left:.0f} s left  {facts}"
        say(self.console, line)

    def _count(self, step: int) -> str:
        return f"{self.shown(step):,}/{self.shown(self.steps):,} {self.unit}"

    def _show_whole(self, step: int) -> None:
        """Shows how far the sweep is, when this job is at a step."""
        if self._whole is None or self._before is None:
            return
        if self._before.jobs < 2 and self._before.runs == self.runs:
            return
        now = self._before._replace(done=self._before.done + self.runs * (step - self.start))
        self._whole.show(self._bar, now)


def summary(task: Task, record: Record) -> str:
    """Returns the key metric's interquartile mean over the runs that have not diverged, in words.

    Args:
      task: names the metric.
      record: of a chunk that was evaluated.
    """
    from scipy.stats import trim_mean  # half a second, which help and errors do not need

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
