"""The arguments of a recipe: their type, made of the workload's dataclasses, and the experiment and
options that they ask for."""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from research.cli import machine
from research.cli.flag_types import axis_flag, plain_flag
from research.cli.follow import read_follow
from research.cli.init_from import read_init_from
from research.cli.search_from import read_search_from
from research.cli.sweep_flags import SWEEP_FLAGS
from research.effects import check_counts, without_effect
from research.engine.axes import check_axes, check_values, parse_seeds
from research.engine.cadence import Intervals
from research.errors import UserError
from research.flags import check_path
from research.limits import MOST_RUNS, USUAL_RUNS, as_int, check_usual, flag_of
from research.plain_text import shortened
from research.runs.early_stop import read_early_stop
from research.runs.experiment import Experiment, check_experiment
from research.runs.memory_limit import parse_bytes
from research.runs.opening import RunOptions
from research.runs.schedulers.follow import Changes
from research.runs.schedulers.population import Population, check_population
from research.runs.search import check_halving, check_search
from research.runs.training import TrainOptions
from research.task import HParams, Problem, always_zero

FlagGroups = Mapping[str, Sequence[str]]  # the heading of a group in `--help` -> names of its flags
_Flag = tuple[str, Any, Any, dict[str, Any]]  # name, type, default, metadata of its field


def arguments_type(
    config: Any,
    hparams: Any,
    unit: str = "steps",
    more: type | None = None,
    groups: FlagGroups | None = None,
) -> Any:
    """Returns a dataclass of all flags, with a tuple for every field of config and hparams.

    Args:
      config, hparams: dataclass instances, whose values become the defaults. A field with
        `derived` in its metadata is no flag.
      unit: what intervals count. Unless it is steps, the config says how long a run trains, and
        there is no flag for it. A config with a field `steps` says so, too, and that is the flag.
      more: a dataclass of flags beside those of every recipe.
      groups: how `--help` groups flags, first to last; what they leave out follows.
    """
    heading_of = {name: heading for heading, names in (groups or {}).items() for name in names}
    place = {name: place for place, name in enumerate(heading_of)}
    flags = list(_flags(config, hparams, unit, more))
    if unknown := heading_of.keys() - {name for name, *_ in flags}:
        raise ValueError(f"groups have no such flags: {sorted(unknown)}")
    names = [name for name, *_ in flags]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{flag_of(twice[0])} is a flag of every recipe: rename the field")
    flags.sort(key=lambda flag: place.get(flag[0], len(place)))
    fields = []
    for name, kind, default, metadata in flags:
        metadata["group"] = heading_of.get(name, metadata["group"])
        fields.append((name, kind, dataclasses.field(default=default, metadata=metadata)))
    return dataclasses.make_dataclass("Arguments", fields, frozen=True)


def _flags(config: Any, hparams: Any, unit: str, more: type | None) -> Iterator[_Flag]:
    """Yields all flags, each with the group that it is in unless the workload says otherwise."""
    for part, heading in ((config, "config"), (hparams, "hyper-parameter")):
        for field in given_fields(part):
            value = getattr(part, field.name)
            layers = isinstance(value, tuple) and not field.metadata.get("words")
            facts = {**field.metadata, "axis": True, "layers": layers, "group": heading}
            yield field.name, *axis_flag(field, value), facts
    in_config = unit != "steps" or hasattr(config, "steps")
    for heading, some in {**SWEEP_FLAGS, "further": more}.items():
        for field in dataclasses.fields(some) if some else ():
            if field.name != "steps" or not in_config:
                facts = {**field.metadata, "group": heading}
                yield field.name, *plain_flag(field, unit), facts


def given_fields(part: Any) -> list[dataclasses.Field]:
    """Returns the fields of a config or hparams that the user gives."""
    return [field for field in dataclasses.fields(part) if not field.metadata.get("derived")]


def preset_arguments(arguments_type: Any, config: Any, hparams: Any, **changes: Any) -> Any:
    """Returns arguments of such a type with the values of a preset, changed as given."""
    values = {field.name: (getattr(part, field.name),)
              for part in (config, hparams) for field in given_fields(part)}  # fmt: skip
    return arguments_type(**values | changes)


def make_experiment(
    name: str,
    make_problem: Callable[[Any], Problem],
    config: Any,
    hparams: HParams,
    arguments: Any,
    in_work: bool = False,
) -> Experiment:
    """Returns the experiment that `arguments` ask for.

    Args:
      name: what the experiment is called in its run folder.
      make_problem: makes a task and its data of a config.
      config, hparams: the values of what no argument gives.
      arguments: of a type that `arguments_type` made.
      in_work: whether intervals count the task's unit of work, such as env steps, not steps.

    Raises:
      UserError: for a value that does not fit.
    """
    check_counts(arguments)
    notes = without_effect(arguments)
    config_axes, config = _split(config, arguments)
    hparams_axes, hparams = _split(hparams, arguments)
    resumed = Path(arguments.out) / arguments.name if arguments.resume else None
    schedule = read_follow(arguments.follow, resumed)
    hparams = _at_the_beginning(hparams, schedule)
    if followed := [flag_of(one) for one in hparams_axes if schedule and one in schedule[0][1]]:
        hparams_axes = {one: hparams_axes[one] for one in hparams_axes if one not in schedule[0][1]}
        notes.append(f"{' and '.join(followed)} as in {arguments.follow}, which is followed")
    if hasattr(config, "off"):
        used = {name for _, values in schedule for name, value in values.items() if value}
        off = [one for one in always_zero(hparams, arguments) if one not in used]
        config = dataclasses.replace(config, off=tuple(off))
    experiment = Experiment(
        name=name,
        make_problem=make_problem,
        config=config,
        hparams=hparams,
        config_axes=config_axes,
        hparams_axes=hparams_axes,
        seeds=parse_seeds(arguments.seeds, MOST_RUNS if arguments.unbounded else USUAL_RUNS),
        steps=None if hasattr(config, "steps") else getattr(arguments, "steps", None),
        intervals=Intervals(arguments.log_every, arguments.eval_every, arguments.chunk_every),
        in_work=in_work,
        most_lanes=arguments.lanes,
        search=check_search(
            arguments.search, arguments.search_seed, arguments.sampler, arguments.batch
        ),
        search_from=read_search_from(arguments.search_from),
        halving=check_halving(arguments.halving, arguments.rungs, arguments.asynchronous),
        population=read_population(arguments),
        schedule=schedule,
        early_stop=read_early_stop(
            arguments.stop_at_goal, arguments.stop_when, arguments.stop_patience
        ),
        keep_best=arguments.keep == "best",
        init_from=read_init_from(arguments.init_from, arguments.init_states),
        notes=notes,
    )
    _check_runs(experiment, arguments.unbounded)
    return check_experiment(experiment)


def _at_the_beginning(hparams: HParams, schedule: Changes) -> HParams:
    """The hyper-parameters with those that a schedule begins with.

    Raises:
      UserError: for one that there is not.
    """
    if not schedule:
        return hparams
    _, first = schedule[0]
    for name in first:
        if name not in vars(hparams):
            raise UserError(f"--follow: it has {name}, which is no hyper-parameter here")
    return check_values(dataclasses.replace(hparams, **first))


def read_population(arguments: Any) -> Population | None:
    """Returns the population-based training that `arguments` ask for; None for none.

    Raises:
      UserError: for numbers that make none.
    """
    if arguments.population is None:
        return None
    return check_population(
        Population(
            arguments.ready_every,
            arguments.exploit,
            arguments.exploit_fraction,
            _read_perturb(arguments.perturb),
            arguments.resample,
        )
    )


def _read_perturb(words: Sequence[str]) -> tuple[float, float]:
    """The two factors of `--perturb 0.8 1.2`, or `--perturb 0.8,1.2`."""
    given = " ".join(words)
    try:
        low, high = map(float, given.replace(",", " ").split())
    except ValueError:
        line = shortened(repr(given), 40)
        raise UserError(f"--perturb {line}: give two factors, such as 0.8 1.2") from None
    return low, high


def _check_runs(experiment: Experiment, unbounded: bool) -> None:
    """Checks the number of runs before any of them is made."""
    axes = [*experiment.config_axes.values()]
    if experiment.search is None:
        axes += experiment.hparams_axes.values()
    settings, seeds = math.prod(map(len, axes)), len(experiment.seeds)
    given = f"{settings:,} settings with {seeds:,} --seeds each"
    if experiment.search:
        settings *= experiment.search.settings
        given = f"--search {experiment.search.settings} with {seeds:,} --seeds each"
    check_usual(given, settings * seeds, USUAL_RUNS, unbounded)


def _split(part: Any, arguments: Any) -> tuple[dict[str, Any], Any]:
    """The axes among the arguments for a config or hparams, and it with what has one value."""
    axes = check_axes(part, {one.name: getattr(arguments, one.name) for one in given_fields(part)})
    first = {name: values[0] for name, values in axes.items()}
    swept = {name: values for name, values in axes.items() if len(values) > 1}
    try:
        given = dataclasses.replace(
            part, **{name: first[name] for name in first if name not in swept}
        )
    except UserError:  # a default that is in no cell of the grid does not go with what is given
        given = dataclasses.replace(part, **first)
    return swept, given


def make_options(arguments: Any) -> RunOptions:
    """Returns the options of running that `arguments` ask for.

    Raises:
      UserError: for numbers that make no sense.
    """
    for name in ("name", "out", "resume"):
        check_path(flag_of(name), getattr(arguments, name))
    parallel = _read_parallel(arguments.parallel)
    shares = as_int("--shares", arguments.shares, low=1)
    if not arguments.checkpoint_every > 0:
        minutes = f"{arguments.checkpoint_every:g}"
        raise UserError(f"--checkpoint-every {minutes}: must be above 0; inf is never")
    if arguments.worker and not arguments.resume:
        raise UserError("--worker: one of several processes in a folder; name it with --resume")
    process = machine.process_of_world() if arguments.distributed else None
    if process and arguments.name is None:
        raise UserError(
            f"--distributed {arguments.distributed}: give --name, so that all processes "
            "use one run folder"
        )
    limit = arguments.memory_limit
    train = TrainOptions(
        checkpoint_minutes=arguments.checkpoint_every,
        keep_states=arguments.keep_states,
        fit=parallel is None,
        memory_limit=None if limit is None else parse_bytes(limit),
    )
    return RunOptions(
        out=arguments.out,
        name=arguments.name,
        parallel=parallel,
        shares=max(shares, process[1] if process else 1),
        prepare=arguments.prepare,
        worker=arguments.worker,
        process=process,
        lengthen=arguments.resume is not None,
        train=train,
    )


def _read_parallel(word: str) -> int | None:
    """Returns how many runs train together; None is auto.

    Raises:
      UserError: for anything else.
    """
    if word == "auto":
        return None
    try:
        return as_int("--parallel", int(word), low=1)
    except ValueError:
        raise UserError(f"--parallel {word}: give auto or a number, such as 256") from None
