"""A run folder in Python: its metrics and scores as tables, and what it has trained.

run = load_run("runs/NAME")
run.metrics.groupby("step")["loss"].mean().plot()
best = run.trained("best")
model.apply(best.params, x)
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from research.errors import UserError
from research.folders import files_in, read_file
from research.limits import as_stored, plain
from research.report.comparison import Comparison, compare
from research.report.metrics import common_metric
from research.report.one_run import OneRun, one_run, shown_briefly
from research.report.problems import key_of, problem_of, problems
from research.report.ranking import counting_diverged, final_scores
from research.report.read import (
    RunFolderData,
    diverged_runs,
    named_divergences,
    read_run_folder,
    swept,
)
from research.report.settings import Setting, final_score, settings
from research.runs.experiment import Experiment
from research.runs.params import load_params


class TrainedRun(NamedTuple):
    """A trained run of a workload that offers nothing more to do with it.

    Attributes:
      run: its number, seed, config, hyper-parameters and score.
      params: as its task keeps them, nested dicts of arrays.
    """

    run: OneRun
    params: Any

    def __repr__(self) -> str:
        return shown_briefly(self)


class LoadedRun:
    """A run folder in memory.

    Attributes:
      data: the folder as the report reads it; `data.manifest` has all that is recorded of it.
      config: field -> value, of what is not swept.
      hparams: field -> value, likewise.
      seeds: of every setting.
      metrics: a row for each run and logged step, with swept hyper-parameters and config fields as
        columns. NaN is a number that was not measured, or was not finite; in the rows of a run that
        diverged, `diverged` is the step from which on it was not.
      scores: a row for each finite run, with all metrics at the last step at which the key metric
        was measured.
      settings: a row for each setting, of each problem the best first: its `problem`, such as an
        environment, what is swept, how many seeds are finite and how many diverged, and the median
        and the interquartile mean of the key metric over seeds, with its 95% interval.
      evaluations: name -> what a tool wrote to `evaluation/NAME.parquet`.
    """

    def __init__(self, data: RunFolderData):
        self.data = data
        fixed = lambda part: {
            name: value for name, value in data.manifest[part].items()
            if name not in swept(data.manifest)
        }  # fmt: skip
        self.config: dict[str, Any] = fixed("config")
        self.hparams: dict[str, Any] = fixed("hparams")
        self.seeds: list[int] = data.manifest["seeds"]
        self.key_metric: str = data.manifest["key_metric"]
        self.higher_is_better: bool = data.manifest["higher_is_better"]
        self.metrics = _plain_table(data)
        self.scores = _last_rows(self.metrics, self.key_metric, diverged_runs(data))
        self.settings = _settings_table(data)
        self.evaluations: Mapping[str, pd.DataFrame] = _evaluations(data.path)

    def __repr__(self) -> str:
        runs = self.metrics["run"].nunique()
        return f"<{self.data.path}: {len(self.settings)} settings, {runs} runs>"

    def trained(
        self,
        run: int | Literal["best"] = "best",
        experiment: Experiment | None = None,
        params: Literal["last", "best"] = "last",
    ) -> Any:
        """A trained run, with its `params` as Flax takes them and what its workload can do with
        them.

        Args:
          run: its number, as in the column `run`, or "best": the one with the best key metric.
          experiment: that the folder was made by, if its task is of your own and in no file, such
            as one of a notebook.
          params: its last ones, or those of its best evaluation, which `keep_best` keeps.

        Returns:
          `TrainedRun`, or what the workload gives: an agent with `policy`, `q_values`, `returns`,
          a net with `predict` and `probabilities`, a language model with `sample` and `perplexity`.

        Raises:
          UserError: if there is no such run, it diverged, or its params are not written yet; or the
            folder asks for code that the user has not named on this machine before.
        """
        from research.report.views import find_views  # which imports what draws the page

        found = one_run(self.data, self._number(run))
        views = find_views(self.data.manifest)
        if views is not None and views.restore is not None:
            return views.restore(self.data._replace(params=params), found, experiment)
        return TrainedRun(found, load_params(self.data.path, found.number, which=params))

    def compare(
        self, one: Mapping[str, Any], reference: Mapping[str, Any], metric: str | None = None
    ) -> Comparison:
        """Compares two settings that were chosen beforehand, seed by seed: by how much one is
        better, how often, and with what confidence. Runs that diverged count as the worst. The best
        of many is rather compared by `scripts/report`, which accounts for having chosen it.

        Args:
          one, reference: swept field -> value, such as `{"learning_rate": 0.01}`.
          metric: a column of the metrics; the key metric if not given.

        Raises:
          UserError: if there is no one such setting, or the two are of different problems.
        """
        metric, higher = common_metric([self.data], metric)
        both = [self._setting(values) for values in (one, reference)]
        if len(names := {problem_of(self.data, setting) for setting in both}) > 1:
            raise UserError(f"settings of {' and '.join(sorted(names))} are not compared")
        scores = [final_scores(setting, metric) for setting in both]
        if not all(map(len, scores)):
            raise UserError(f"{dict(one)}, {dict(reference)}: a setting has no finite {metric}")
        first, second = counting_diverged(scores, both, higher)
        return compare(first, second, higher)

    def _setting(self, values: Mapping[str, Any]) -> Setting:
        """The setting that has these values."""
        have = lambda setting: all(
            name in setting.values and as_stored(plain(setting.values[name])) == as_stored(value)
            for name, value in values.items()
        )
        found = list(filter(have, every := list(settings(self.data))))
        if len(found) != 1:
            labels = [setting.label for setting in found or every]
            known = "; ".join(labels[:20]) + (" and more" if len(labels) > 20 else "")
            what = "several settings have these" if found else "no setting has these; there are"
            raise UserError(f"{dict(values)}: {what}: {known}")
        return found[0]

    def _number(self, run: Any) -> int | None:
        """The number of a run, checked; None for the best."""
        if isinstance(run, str):
            if run != "best":
                raise UserError(f'run {run!r}: give the number of a run, or "best"')
            if len(names := problems([self.data])) > 1:
                raise UserError(
                    f"{self.data.path} has runs of {', '.join(map(repr, names))}, which are not "
                    "compared: give the number of a run; `settings` and `scores` list them"
                )
            return None
        numbers = self.data.metrics["run"]
        if run not in set(numbers):
            raise UserError(
                f"run {run}: {self.data.path} has the runs {numbers.min()} to {numbers.max()}"
            )
        if run in diverged_runs(self.data):
            known = {one["run"]: one["step"] for one in named_divergences(self.data.manifest)}
            when = f" at step {known[run]}" if run in known else ""
            raise UserError(f"run {run} of {self.data.path} diverged{when}: give another")
        return int(run)


def load_run(path: str | Path) -> LoadedRun:
    """Reads a run folder, finished or not.

    Raises:
      UserError: if it is no run folder, holds no metrics yet, or a file in it is damaged.
    """
    return LoadedRun(read_run_folder(path))


def _plain_table(data: RunFolderData) -> pd.DataFrame:
    """The metrics with NumPy's floats, which all libraries take: null becomes NaN, and a
    hyper-parameter the number that was given for it."""
    kinds = data.metrics.dtypes.items()
    floats = {name: "float64" for name, kind in kinds if isinstance(kind, pd.ArrowDtype)}
    table = data.metrics.astype(floats)
    for name in floats.keys() & data.manifest["hparams"].keys():
        table[name] = table[name].map({value: _given(value) for value in table[name].unique()})
    return table


def _given(value: Any) -> Any:
    """A number of 32 bits as the shortest decimal that it stands for: 0.1, not 0.10000000149."""
    return float(str(np.float32(value))) if isinstance(value, float) else value


def _last_rows(metrics: pd.DataFrame, key_metric: str, diverged: set[int]) -> pd.DataFrame:
    """The row of each finite run at the last step at which its key metric was measured."""
    finite = ~metrics["run"].isin(list(diverged)) & metrics[key_metric].notna()
    last = metrics[finite].sort_values(["run", "step"]).drop_duplicates("run", keep="last")
    return last.reset_index(drop=True)


def _settings_table(data: RunFolderData) -> pd.DataFrame:
    """A row for each setting; those of one problem are together, the best of them first."""
    names, found = problems([data]), []
    for setting in settings(data):
        problem = problem_of(data, setting)
        found.append((names.index(problem), key_of(data, setting), problem, setting))
    found.sort(key=lambda one: one[:2])
    return pd.DataFrame([_setting_row(data, problem, one) for *_, problem, one in found])


def _setting_row(data: RunFolderData, problem: str, setting: Setting) -> dict[str, Any]:
    values = {name: _given(value) for name, value in setting.values.items()}
    row = {"problem": problem, **values}
    row |= {"finite": setting.seeds - setting.left_out, "diverged": setting.left_out}
    score = final_score(setting, data.manifest["key_metric"])
    if score is None:
        return row
    iqm, low, high = map(float, score.iqm)
    return row | {"median": score.median, "iqm": iqm, "iqm_low": low, "iqm_high": high}


def _evaluations(folder: Path) -> dict[str, pd.DataFrame]:
    """The tables that tools wrote into a run folder.

    Raises:
      UserError: if one is damaged.
    """
    tables = {}
    for path in files_in(folder / "evaluation", "*.parquet"):
        try:
            tables[path.stem] = pd.read_parquet(pa.BufferReader(read_file(path)))
        except (OSError, ValueError, pa.ArrowException) as error:
            raise UserError(f"{path} is damaged: {error}") from error
    return tables
