"""Defines an experiment: its axes, split into groups of runs that share a program."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from research.engine.axes import (
    Group,
    check_axes,
    check_requirements,
    check_seeds,
    check_values,
    make_groups,
    make_runs,
)
from research.engine.cadence import Cadence, Intervals
from research.engine.metrics import as_typed
from research.engine.one_run import metric_names, unread_hparams
from research.engine.rows import table_schema
from research.errors import UserError
from research.limits import MOST_INT, as_int, as_stored, flag_of, plain
from research.runs.early_stop import EarlyStop
from research.runs.schedulers.follow import Changes, check_changes
from research.runs.schedulers.population import Population, decision_steps
from research.runs.schedulers.stopping import check_alone, check_early_stop
from research.runs.search import Halving, Search
from research.runs.space import Chosen, is_range
from research.task import HParams, Problem, Task


class Experiment(NamedTuple):
    """Everything that defines an experiment.

    Attributes:
      name: of the workload; run folders are named after it.
      make_problem: config -> Problem; called once a group.
      config, hparams: the values where there is no axis.
      config_axes, hparams_axes: field -> values.
      seeds: one run each, under every setting.
      steps: how long a run trains; None asks the task, as it must be where the config says it.
      intervals: when to log, evaluate and return to the host.
      in_work: whether intervals, and what is shown, count the task's unit of work, such
        as env steps, instead of steps.
      most_lanes: runs in lockstep on one device at most; None leaves it to the engine.
      search: how many settings to draw from `hparams_axes`, which are ranges then; None for the
        grid.
      search_from: an earlier search whose scores the sampler is told; None: it begins with none.
      halving: how settings are thinned out on the way; None keeps them all.
      population: how settings take over from better ones on the way; None: each keeps to itself.
      schedule: the hyper-parameters of all runs from certain steps on, if they change.
      early_stop: when runs stop before the end; None: only at the end.
      keep_best: whether the params of each run's best evaluation are kept beside the last.
      init_from: where runs take their first params from; None: random ones.
      notes: lines that the user should read before anything is trained.
    """

    name: str
    make_problem: Callable[[Any], Problem]
    config: Any
    hparams: HParams
    config_axes: Mapping[str, Sequence[Any]] = {}
    hparams_axes: Mapping[str, Sequence[Any]] = {}
    seeds: Sequence[int] = (0,)
    steps: int | None = None
    intervals: Intervals = Intervals()
    in_work: bool = False
    most_lanes: int | None = None
    search: Search | None = None
    search_from: Any = None  # a `SearchFrom`
    halving: Halving | None = None
    population: Population | None = None
    schedule: Changes = ()
    early_stop: EarlyStop | None = None
    keep_best: bool = False
    init_from: Any = None  # an `InitFrom`
    notes: Sequence[str] = ()

    @property
    def seeds_together(self) -> int | None:
        """How many seeds each setting has, if all runs of one seed are trained together; None if
        any runs may be apart."""
        return len(self.seeds) if self.population else None


class Part(NamedTuple):
    """One group of an experiment.

    Attributes:
      number: its place among the groups.
      first_run: the number of its first run; runs are counted through all groups.
      group: its config and runs.
      problem: what its config makes.
      labels: swept config field -> value, fit for a table.
      steps: how long its runs train.
      cadence: when to log, evaluate and return to the host, in steps.
      paced_for: the steps that the defaults of the cadence are made for: fewer than `steps` where
        runs were lengthened.
    """

    number: int
    first_run: int
    group: Group
    problem: Problem
    labels: dict[str, Any]
    steps: int
    cadence: Cadence
    paced_for: int

    @property
    def name(self) -> str:
        """The swept config values in words; empty where none is swept."""
        return " ".join(f"{name}={value}" for name, value in self.labels.items())


def check_experiment(experiment: Experiment) -> Experiment:
    """Returns the experiment with every value converted to its declared Python type.

    Raises:
      UserError: naming the flag and what does not fit.
    """
    intervals = {
        name: None if value is None else as_int("--" + name.replace("_", "-"), value)
        for name, value in experiment.intervals._asdict().items()
    }
    steps, lanes = experiment.steps, experiment.most_lanes
    return experiment._replace(
        config=check_values(experiment.config),
        hparams=check_values(experiment.hparams),
        config_axes=check_axes(experiment.config, experiment.config_axes),
        hparams_axes=check_axes(experiment.hparams, experiment.hparams_axes),
        seeds=check_seeds(experiment.seeds),
        steps=None if steps is None else as_int("--steps", steps, low=1),
        intervals=Intervals(**intervals),
        most_lanes=None if lanes is None else as_int("--lanes", lanes, low=1),
    )


def make_parts(experiment: Experiment, paced_for: Sequence[int] = ()) -> list[Part]:
    """Returns the groups of an experiment, each with its problem and schedule.

    Args:
      experiment: what to run.
      paced_for: of each group, as of `Part`; its steps if not given.

    Raises:
      UserError: for an invalid axis, value or interval, a setting that a task does not allow,
        or what `make_problem` says.
    """
    groups = make_groups(
        experiment.config,
        experiment.config_axes,
        experiment.hparams,
        experiment.hparams_axes,
        experiment.seeds,
        experiment.search,
    )
    parts = []
    for index, group in enumerate(groups):
        labels = {name: cell(getattr(group.config, name)) for name in experiment.config_axes}
        first_run = index * len(group.runs)
        problem = experiment.make_problem(group.config)
        if not isinstance(problem, Problem):
            kind = type(problem).__name__
            raise UserError(
                f"make_problem returns a {kind}; it has to return a Problem(task, shared)"
            )
        group = _searched(experiment, group, problem.task)
        pace = paced_for[index] if index < len(paced_for) else None
        schedule = make_schedule(experiment, problem.task, pace)
        parts.append(Part(index, first_run, group, problem, labels, *schedule))
        check_requirements(problem.task, group.runs, parts[-1].name)
        _check_stopping(experiment, parts[-1])
        _check_scheduler(experiment, parts[-1])
    if experiment.halving:
        runs = sum(len(part.group.runs) for part in parts)
        experiment.halving.check_settings(runs // len(experiment.seeds))
    return parts


def _check_scheduler(experiment: Experiment, part: Part) -> None:
    """Raises a `UserError` if the runs of a group make no population, or cannot follow the
    schedule."""
    population, task = experiment.population, part.problem.task
    per = task.work_per_step if experiment.in_work else 1
    check_changes(experiment.schedule, experiment.hparams, per, part.cadence.eval_every)
    if population is None:
        return
    if experiment.halving:
        raise UserError("--population pbt --halving: settings are replaced, or stopped; choose one")
    if (members := len(part.group.runs) // len(experiment.seeds)) < 2:
        raise UserError(
            f"--population pbt: a population of {members} has nobody to take over from; give "
            "--search 16, or so, with a range for each hyper-parameter that is searched"
        )
    if experiment.search is None:
        raise UserError(
            "--population pbt: needs --search N, so that two values of a hyper-parameter are the "
            "range that it is searched in"
        )
    decision_steps(population, per, part.cadence.eval_every, part.steps)


def _searched(experiment: Experiment, group: Group, task: Task) -> Group:
    """A group with the settings of a search other than at random, which its task takes."""
    search, hparams, axes = experiment.search, experiment.hparams, experiment.hparams_axes
    if search is None or search.sampler == "random":
        return group
    if search.in_batches and experiment.population:
        raise UserError(
            f"--population pbt: needs all settings at once, and --sampler {search.sampler} "
            "proposes them batch by batch; leave one of them out"
        )
    if search.in_batches and experiment.halving:
        raise UserError(
            f"--halving {experiment.halving.factor}: needs all settings at once, and --sampler "
            f"{search.sampler} proposes them batch by batch; leave one of them out"
        )
    if search.sampler == "cmaes" and not any(map(is_range, axes.values())):
        raise UserError("--sampler cmaes: give a range for a hyper-parameter at least")
    chosen = Chosen(search.settings_for(hparams, axes, task))
    return group._replace(runs=make_runs(hparams, axes, experiment.seeds, chosen))


def _check_stopping(experiment: Experiment, part: Part) -> None:
    """Raises a `UserError` if the runs of a group cannot be stopped as it is asked for."""
    if (early_stop := experiment.early_stop) is None:
        return
    others = ["--halving"] * bool(experiment.halving)
    others += ["--population"] * bool(experiment.population)
    check_alone(early_stop, others + ["--follow"] * (len(experiment.schedule) > 1))
    evaluated = metric_names(part.problem, part.group.runs)[1]
    every = part.cadence.eval_every
    check_early_stop(early_stop, part.problem.task, evaluated, every, part.steps)


def first_stops(experiment: Experiment, parts: Sequence[Part]) -> list[int]:
    """Returns the step at which the runs of each group first stop: the end, or the first rung.

    Raises:
      UserError: if the rungs do not fit.
    """
    if experiment.halving is None:
        return [part.steps for part in parts]
    return [experiment.halving.stops(part.steps, part.cadence.log_every)[0] for part in parts]


def make_schedule(
    experiment: Experiment, task: Task, paced_for: int | None = None
) -> tuple[int, Cadence, int]:
    """Returns how many steps a run takes, its cadence in steps, and the steps that the defaults of
    the cadence are made for: `paced_for`, or those of the run.

    Raises:
      UserError: for an interval that is no whole number of steps, or no multiple of another; or
        another number of steps than the config's, at whose end the task's schedules end.
    """
    steps = task.steps if experiment.steps is None else experiment.steps
    if steps is None:
        raise UserError("--steps is missing: how long is a run to train?")
    if task.steps not in (None, steps):
        raise UserError(
            f"steps {steps}: the config makes it {task.steps}, which schedules follow; change the "
            "config and leave the experiment's steps out"
        )
    if steps > MOST_INT:
        raise UserError(
            f"{steps} steps a run: an int32 counts no more than {MOST_INT}; train for less, or "
            "give a larger batch"
        )
    per = task.work_per_step if experiment.in_work else 1
    given = {}
    for name, value in experiment.intervals._asdict().items():
        if value is not None and value % per:
            flag, near = name.replace("_", "-"), max(per, round(value / per) * per)
            raise UserError(
                f"--{flag} {value}: must be a multiple of the {per} {task.work_unit} of one step, "
                f"such as {near}"
            )
        given[name] = value if value is None else value // per
    pace = min(paced_for or steps, steps)
    return steps, Cadence.of(pace, per=per, epoch=task.epoch, **given), pace


def make_schema(parts: Sequence[Part]) -> pa.Schema:
    """Returns the columns of all groups; a metric that a group does not report is null in its
    rows."""
    names: dict[str, None] = {}
    for part in parts:
        for some in metric_names(part.problem, part.group.runs):
            names.update(dict.fromkeys(some))
    return table_schema(parts[0].group.runs.hparams, parts[0].labels, tuple(names))


def unused_notes(parts: Sequence[Part]) -> list[str]:
    """Returns a line for each hyper-parameter that has another value than its default, and that no
    group reads. One that is swept has been refused by then."""
    unread = set.intersection(*(unread_hparams(part.problem, part.group.runs) for part in parts))
    lines = []
    for field in dataclasses.fields(parts[0].group.runs.hparams):
        value = as_typed(getattr(parts[0].group.runs.hparams, field.name))[0].item()
        is_off = field.metadata.get("zero_is_off") and value == 0  # which is why it is not read
        usual = as_stored(value) == as_stored(field.default)
        if field.name in unread and not is_off and not usual:
            flag = flag_of(field.name)
            lines.append(f"{flag} {value:g} changes nothing: nothing uses it under this config")
    return lines


def cell(value: Any) -> Any:
    """Returns a config value as a number, a truth value or a word: (64, 32) as 64x32."""
    if isinstance(value, tuple):
        return "x".join(map(str, value)) or "none"
    return value


def uncell(value: Any, like: Any) -> Any:
    """Undoes `cell`, also after a round trip through JSON, for a field whose default is `like`.

    Raises:
      ValueError: if the value is none of such a field.
    """
    if not isinstance(like, tuple):
        return value
    if isinstance(value, str):
        value = () if value == "none" else [int(part) for part in value.split("x")]
    if not isinstance(value, list | tuple):
        raise ValueError(f"should be a list, not {value!r}")
    return tuple(value)


def restore_config(recorded: Mapping[str, Any], like: Any) -> Any:
    """Returns the config that a manifest, or a row of its groups, records; fields that are newer
    than the record keep their values in `like`.

    Raises:
      UserError: for a field that this version does not have, or a value that it does not take.
    """
    fields = {field.name: field for field in dataclasses.fields(like)}
    if unknown := sorted(set(recorded) - set(fields)):
        raise UserError(f"the recorded config has a field {unknown[0]}, which this version has not")
    values: dict[str, Any] = {}
    for name in recorded:
        try:
            values[name] = _restore(recorded[name], fields[name], getattr(like, name))
        except ValueError as error:
            raise UserError(f"the recorded config has no valid {name}: {error}") from None
    try:
        return dataclasses.replace(like, **values)
    except UserError as error:
        raise UserError(f"the recorded config is not valid: {error}") from None


def _restore(value: Any, field: dataclasses.Field[Any], like: Any) -> Any:
    if field.metadata.get("words") and isinstance(value, str):  # it was one word once
        return (value,) if value else ()
    restored = uncell(value, like)
    if field.metadata.get("derived") and not all(isinstance(one, str) for one in restored):
        raise ValueError(f"should be a list of words, not {value!r}")
    return restored


def restore_hparams(recorded: Mapping[str, Any], like: HParams) -> HParams:
    """Returns the hyper-parameters of a run that its metrics record; else as `restore_config`.

    Raises:
      UserError: for a field that this version does not have, or a value that is no number.
    """
    fields = {field.name for field in dataclasses.fields(like)}
    if unknown := sorted(set(recorded) - fields):
        raise UserError(f"the recorded run has a field {unknown[0]}, which this version has not")
    values = {name: plain(value) for name, value in recorded.items()}  # float32, as trained with
    if words := [name for name, value in values.items() if not isinstance(value, int | float)]:
        raise UserError(f"the recorded {words[0]} of a run is {values[words[0]]!r}, not a number")
    return dataclasses.replace(like, **values)
