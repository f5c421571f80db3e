"""A search in a notebook, without files: ask for settings, train them, tell their scores.

study = Study(problem, HParams(), {"learning_rate": (1e-4, 1e-1)}, seeds=8, sampler="tpe")
for _ in range(4):
    settings = study.ask(64)
    study.tell(settings, study.train(settings, steps=1000))
study.best
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from research.engine.axes import (
    Axes,
    check_axes,
    check_requirements,
    check_seeds,
    check_values,
    make_runs,
)
from research.engine.blocks import start_blocks
from research.engine.cadence import Cadence, plan_chunks
from research.engine.loop import train
from research.engine.metrics import Record, diverged_runs, value
from research.engine.program import Program, compile_program
from research.errors import UserError, shortlist
from research.limits import as_int, as_seed
from research.plain_text import count_of
from research.runs.proposals import loss_of
from research.runs.ranking import rank
from research.runs.samplers import SAMPLERS, Told, batch_seed, check_installed, propose
from research.runs.space import Chosen, Setting, is_range, make_space, requirements_of
from research.task import HParams, Problem


class BestSetting(NamedTuple):
    """The best setting that a study was told of.

    Attributes:
      setting: its hyper-parameters.
      score: its interquartile mean over seeds; NaN if every setting has diverged.
    """

    setting: dict[str, Any]
    score: float


class Study:
    """A search over the hyper-parameters of a problem.

    Its samplers are those of `--sampler`; each batch that is asked for is proposed from all that
    was told before, so that a study that is told the same proposes the same.
    """

    def __init__(
        self,
        problem: Problem,
        hparams: HParams,
        space: Axes,
        seeds: int | Sequence[int] = 8,
        sampler: str = "tpe",
        seed: int = 0,
    ):
        """
        Args:
          problem: what runs train on.
          hparams: the values of what is not searched.
          space: hyper-parameter -> the two ends of a range, or a list of choices.
          seeds: a count, or the seeds themselves: one run each, under every setting.
          sampler: random, sobol, tpe, gp or cmaes.
          seed: of the sampler.

        Raises:
          UserError: for a value that does not fit, or a package that the sampler needs and that is
            not installed.
        """
        if sampler not in SAMPLERS:
            raise UserError(f"sampler {sampler}: there are {', '.join(SAMPLERS)}")
        check_installed(sampler)
        self.problem, self.hparams = problem, check_values(hparams)
        self.axes, self.seeds = check_axes(hparams, space), check_seeds(seeds)
        if not self.axes or (sampler == "cmaes" and not any(map(is_range, self.axes.values()))):
            raise UserError("a study needs a range for a hyper-parameter at least")
        self.sampler, self.seed = sampler, as_seed("seed", seed)
        self.space = make_space(self.hparams, self.axes)
        self._told: list[Told] = []
        self._asked = self._batches = 0
        self._programs: dict[tuple[int, int], Program] = {}

    def ask(self, count: int) -> list[dict[str, Any]]:
        """Returns settings to train next, which were not told before.

        Raises:
          UserError: if there are no more of them.
        """
        count = as_int("ask", count, low=1)
        allowed = requirements_of(self.problem.task, self.hparams, self.axes)
        seed = batch_seed(self.seed, self._asked)
        found = propose(self.sampler, self.space, self._told, count, seed, allowed)
        if len(found) < count:
            left = count_of(len(found), "setting")
            raise UserError(f"ask {count}: at most {left} can be asked for now")
        self._asked += 1
        return found

    def train(self, settings: Sequence[Setting], steps: int) -> np.ndarray:
        """Trains every seed under every setting in one program, which is compiled once for batches
        of one size.

        Returns:
          The key metric at the end, float64 [settings, seeds]; NaN where a run has diverged, or the
          metric is not defined.

        Raises:
          UserError: if the task does not allow a setting.
        """
        chosen = Chosen([self._checked(one) for one in settings])
        runs = make_runs(self.hparams, self.axes, self.seeds, chosen)
        task, steps = self.problem.task, as_int("steps", steps, low=1)
        check_requirements(task, runs)
        chunks = plan_chunks(steps, Cadence.of(steps, eval_every=steps))
        if (len(runs), steps) not in self._programs:
            self._programs[len(runs), steps] = compile_program(self.problem, runs, chunks)
        program = self._programs[len(runs), steps]
        records: list[Record] = []
        train(program, start_blocks(program, runs), chunks, records.append)
        scores = value(records[-1].evaluated[task.key_metric]).astype(np.float64)
        scores[[one.run for one in diverged_runs(records[-1].diverged)]] = np.nan
        return scores.reshape(len(settings), len(self.seeds))

    def tell(self, settings: Sequence[Setting], scores: Any) -> None:
        """Tells the scores of settings, [settings, seeds] or [settings]; NaN for a run that has
        diverged.

        Raises:
          UserError: if there are not as many scores as settings, or a setting is none.
        """
        table = np.asarray(scores, np.float64)
        if not table.ndim or len(table) != len(settings):
            raise UserError(f"tell: scores of shape {table.shape} for {len(settings)} settings")
        higher = self.problem.task.higher_is_better
        for setting, row in zip(settings, table.reshape(len(settings), -1), strict=True):
            finite = row[np.isfinite(row)].tolist()
            loss = loss_of(rank(finite, len(row) - len(finite), higher))
            self._told.append(Told(self._checked(setting), loss, self._batches))
        self._batches += 1

    @property
    def best(self) -> BestSetting:
        """The best setting so far.

        Raises:
          UserError: if none was told.
        """
        if not self._told:
            raise UserError("the study was told of no setting yet")
        best = min(self._told, key=lambda one: float("inf") if one.loss is None else one.loss)
        sign = -1.0 if self.problem.task.higher_is_better else 1.0
        score = float("nan") if best.loss is None else sign * best.loss
        return BestSetting(dict(best.values), score)

    def _checked(self, setting: Setting) -> dict[str, Any]:
        """A setting, after a look at whether it is one of what is searched."""
        if {*setting} != {*self.axes}:
            raise UserError(
                f"a setting has values for {shortlist(self.axes)}, and for nothing else"
            )
        for one in self.space:
            if not one.holds(setting[one.name]):
                raise UserError(f"{one.name} {setting[one.name]}: is not in what is searched")
        return dict(setting)
