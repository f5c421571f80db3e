"""The learning curves of settings as numbers, which the figure of `scripts/show` and the page draw.

Shape letters: S seeds, T steps.
"""

from typing import Any, NamedTuple

import numpy as np

from research.report.settings import Setting
from research.report.statistics import RESAMPLES, iqm_interval


class LearningCurve(NamedTuple):
    """A metric of one setting over the course of training, over its finite runs.

    Attributes:
      label: of the setting.
      steps: int64 [T], at which all of them were measured.
      work: [T], the work done by then.
      iqm: float64 [T], interquartile mean over seeds.
      low, high: float64 [T], the ends of its 95% bootstrap interval at each step.
    """

    label: str
    steps: np.ndarray
    work: np.ndarray
    iqm: np.ndarray
    low: np.ndarray
    high: np.ndarray


def learning_curve(
    setting: Setting, metric: str, most_points: int | None = None, resamples: int = RESAMPLES
) -> LearningCurve:
    """The learning curve of a setting; of no steps where none was measured in all its finite runs.

    Args:
      setting: of a run folder.
      metric: a column of its metrics.
      most_points: of the curve, evenly spread, the ends among them; None draws all. None is
        averaged, so that every number is one of the folder's.
      resamples: of the bootstrap.
    """
    steps, values_SxT = measured(setting, metric)
    if most_points is not None:
        kept = spread_out(len(steps), most_points)
        steps, values_SxT = steps[kept], values_SxT[:, kept]
    work = setting.rows.drop_duplicates("step").set_index("step")["work"].reindex(steps).to_numpy()
    interval = iqm_interval(values_SxT, resamples=resamples)
    return LearningCurve(setting.label, steps, work, *interval)


def measured(setting: Setting, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps [T] and values [S, T] of the runs of a setting, at the steps that all of them have.

    A run that stopped early keeps its last value: without it, the average would be of the slow
    ones.
    """
    wide = setting.rows.pivot(index="run", columns="step", values=metric)
    if early := [run for run in setting.stopped if run in wide.index]:
        stops = np.array([setting.stopped[run] for run in early])
        later = wide.columns.to_numpy() > stops[:, None]
        kept = wide.loc[early]
        wide.loc[early] = kept.where(~later, kept.ffill(axis="columns"))
    wide = wide.dropna(axis="columns", how="any")
    return wide.columns.to_numpy(), wide.to_numpy(np.float64)


def spread_out(count: int, most: int) -> np.ndarray:
    """At most `most` of the places 0 to `count` - 1, evenly, the ends among them."""
    if count <= most:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, most).round().astype(int))


def seconds_at(manifest: dict[str, Any], run: int, steps: np.ndarray) -> np.ndarray | None:
    """How long the job of a run had trained by each step, all its runs together; None before it
    has ended. A job that resumes where another stopped counts that one's time, too."""
    results = manifest.get("results", [])
    jobs = [result for result in results if run in result["runs"] and result["clock"]]
    at, seconds, before = [0.0], [0.0], 0.0
    for job in sorted(jobs, key=lambda job: job["start"]):
        at += [float(step) for step, _ in job["clock"]]
        seconds += [before + time for _, time in job["clock"]]
        before = seconds[-1]
    if not jobs or at[-1] < steps[-1]:
        return None
    return np.interp(steps, at, seconds)
