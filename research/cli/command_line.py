"""Makes a command line of a workload's dataclasses: every field of config and hparams takes a
list."""

import dataclasses
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import tyro
from tyro.constructors import PrimitiveConstructorSpec

from research.cli import machine
from research.engine.axes import check_axes, parse_seeds
from research.engine.cadence import Intervals
from research.errors import UserError, plain_exit
from research.limits import as_int, flag_of
from research.runs.experiment import Experiment, cell, check_experiment
from research.runs.job_runner import TrainOptions
from research.runs.memory_limit import parse_bytes
from research.runs.run_folder import RunFolder
from research.runs.runner import RunOptions
from research.runs.search import check_halving, check_search
from research.task import HParams, Problem, always_zero


@dataclasses.dataclass(frozen=True)
class SweepFlags:
    """The flags of every experiment, beside those of its config and hyper-parameters."""

    seeds: Annotated[
        tuple[str, ...],
        tyro.conf.arg(metavar="N | SEED SEED...", help="64 means 0 to 63; two or more are a list"),
    ] = ("32",)
    steps: Annotated[int | None, tyro.conf.arg(help="how long each run trains")] = 1_000
    log_every: Annotated[
        int | None, tyro.conf.arg(help="{unit} a logged mean covers; 1% of all if not given")
    ] = None
    eval_every: Annotated[
        int | None, tyro.conf.arg(help="{unit} between evaluations; 5% of all if not given")
    ] = None
    chunk_every: Annotated[
        int | None,
        tyro.conf.arg(help="most {unit} between returns to the host; about 1% if not given"),
    ] = None
    lanes: Annotated[
        int | None, tyro.conf.arg(help="most runs in lockstep on one device; the engine's choice")
    ] = None
    out: Annotated[str, tyro.conf.arg(help="folder that run folders are made in")] = "runs"
    name: Annotated[
        str | None, tyro.conf.arg(help="of the run folder; workload and time if not given")
    ] = None
    resume: Annotated[
        str | None,
        tyro.conf.arg(metavar="RUN", help="resume a run folder, with the flags it was made by"),
    ] = None
    parallel: Annotated[
        str,
        tyro.conf.arg(
            metavar="auto|N", help="most runs trained together; auto: as many as fit the memory"
        ),
    ] = "auto"
    memory_limit: Annotated[
        str | None,
        tyro.conf.arg(metavar="SIZE", help="of a device, such as 20GB; what it has if not given"),
    ] = None
    checkpoint_every: Annotated[
        float, tyro.conf.arg(metavar="MINUTES", help="between checkpoints")
    ] = 10.0
    keep_states: Annotated[
        bool, tyro.conf.arg(help="keep the last states, not only the params, as a checkpoint")
    ] = False
    tensorboard: Annotated[
        bool, tyro.conf.arg(help="while training, write TensorBoard's files to RUN/tensorboard")
    ] = False
    wandb: Annotated[
        bool, tyro.conf.arg(help="while training, write offline runs of W&B to RUN/wandb")
    ] = False
    search: Annotated[
        int | None,
        tyro.conf.arg(
            metavar="N", help="draw N settings; two values of a hyper-parameter are a range then"
        ),
    ] = None
    search_seed: Annotated[int, tyro.conf.arg(help="of the draws")] = 0
    halving: Annotated[
        int | None,
        tyro.conf.arg(metavar="FACTOR", help="at each rung, the best of so many settings continue"),
    ] = None
    rungs: Annotated[int, tyro.conf.arg(help="how often --halving compares, the end included")] = 4
    shares: Annotated[
        int, tyro.conf.arg(metavar="N", help="make at least N jobs, for so many processes")
    ] = 1
    prepare: Annotated[bool, tyro.conf.arg(help="make the run folder and train nothing")] = False
    worker: Annotated[
        bool, tyro.conf.arg(help="train what no other worker has taken; with --resume RUN")
    ] = False
    distributed: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="auto|HOST:PORT,I/N",
            help="be process I of N of a jax.distributed world, such as a TPU pod",
        ),
    ] = None
    deterministic: Annotated[
        bool, tyro.conf.arg(help="have a GPU repeat itself to the last bit, at a price")
    ] = False


def arguments_type(config: Any, hparams: Any, unit: str = "steps", more: type | None = None) -> Any:
    """Returns a dataclass with a tuple for every field of config and hparams, then the flags.

    Args:
      config, hparams: dataclass instances, whose values become the defaults. A field with
        `derived` in its metadata is no flag.
      unit: what intervals count. Unless it is steps, the config says how long a run trains, and
        there is no flag for it. A config with a field `steps` says so, too, and that is the flag.
      more: a dataclass of flags beside those of `SweepFlags`.
    """
    axes = [_axis(field, getattr(part, field.name))
            for part in (config, hparams) for field in _fields(part)]  # fmt: skip
    in_config = unit != "steps" or hasattr(config, "steps")
    others = [_flag(field, unit)
              for part in (SweepFlags, more) if part is not None
              for field in dataclasses.fields(part)
              if field.name != "steps" or not in_config]  # fmt: skip
    return dataclasses.make_dataclass("Arguments", [*axes, *others], frozen=True)


def preset_arguments(arguments_type: Any, config: Any, hparams: Any, **changes: Any) -> Any:
    """Returns arguments of such a type with the values of a preset, changed as given."""
    values = {field.name: (getattr(part, field.name),)
              for part in (config, hparams) for field in _fields(part)}  # fmt: skip
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
      in_work: whether intervals count the task's unit of work, such as env steps, not steps.

    Raises:
      UserError: for a value that does not fit.
    """
    config_axes, config = _split(config, arguments)
    hparams_axes, hparams = _split(hparams, arguments)
    if hasattr(config, "off"):
        config = dataclasses.replace(config, off=always_zero(hparams, arguments))
    experiment = Experiment(
        name=name,
        make_problem=make_problem,
        config=config,
        hparams=hparams,
        config_axes=config_axes,
        hparams_axes=hparams_axes,
        seeds=parse_seeds(arguments.seeds),
        steps=None if hasattr(config, "steps") else getattr(arguments, "steps", None),
        intervals=Intervals(arguments.log_every, arguments.eval_every, arguments.chunk_every),
        in_work=in_work,
        most_lanes=arguments.lanes,
        search=check_search(arguments.search, arguments.search_seed),
        halving=check_halving(arguments.halving, arguments.rungs),
    )
    return check_experiment(experiment)


def _split(part: Any, arguments: Any) -> tuple[dict[str, Any], Any]:
    """The axes among the arguments for a config or hparams, and it with what has one value."""
    axes = check_axes(part, {one.name: getattr(arguments, one.name) for one in _fields(part)})
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
    parallel = _read_parallel(arguments.parallel)
    shares = as_int("--shares", arguments.shares, low=1)
    if not arguments.checkpoint_every > 0:
        raise UserError(f"--checkpoint-every {arguments.checkpoint_every:g}: must be above 0")
    if arguments.worker and not arguments.resume:
        raise UserError("--worker: one of several processes in a folder; name it with --resume")
    process = machine.process_of_world() if arguments.distributed else None
    if process and arguments.name is None:
        raise UserError("--distributed: give --name, so that all processes use one run folder")
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
        train=train,
    )


def run_main(
    main: Callable[[Any], Any],
    presets: Mapping[str, Any],
    description: str,
    argv: Sequence[str] | None = None,
) -> None:
    """Parses the command line into the type of one of `presets`, sets JAX up and calls `main`.

    Args:
      main: takes the arguments.
      presets: name -> arguments, the first being the default. `--preset NAME` picks the values
        that flags not given have.
      description: the text of `--help`; the script's docstring.
      argv: the words after the script's name.
    """
    with plain_exit():
        words = sys.argv[1:] if argv is None else argv
        arguments = parse_arguments(presets, description, words)
        if arguments.resume is not None:
            arguments = _resume(presets, description, words, Path(arguments.resume))
        machine.configure_jax(arguments.deterministic, arguments.distributed)
        main(arguments)


def _resume(
    presets: Mapping[str, Any], description: str, words: Sequence[str], folder: Path
) -> Any:
    """The arguments that a run folder was made by, and on top of them `words`.

    Only flags are taken from the folder; it cannot name what is run.
    """
    run_folder = RunFolder.open(folder)
    folder, recorded = run_folder.path, run_folder.manifest()
    script, made_by = Path(sys.argv[0]).name, Path(shlex.split(recorded["command"])[0]).name
    if script != made_by:
        raise UserError(f"--resume {folder}: it was made by {made_by}, not by {script}")
    # Whatever made the folder, one process resumes it unless said otherwise.
    alone = ["--no-prepare", "--distributed", "None"]
    merged = [*recorded["arguments"], *alone, *words]
    if {"--preset"} & set(words) or any(word.startswith("--preset=") for word in words):
        raise UserError(f"--resume {folder}: it has the preset that it was made with")
    arguments = parse_arguments(presets, description, merged)
    return dataclasses.replace(arguments, out=str(folder.parent), name=folder.name)


def parse_arguments(presets: Mapping[str, Any], description: str, argv: Sequence[str]) -> Any:
    """Returns the arguments that `argv` gives, on top of the preset that it names."""
    name, rest = _take_preset(list(argv), next(iter(presets)))
    if name not in presets:
        raise UserError(f"--preset {name}: there are {', '.join(presets)}")
    description += f"\n\n--preset NAME starts from other values: {', '.join(presets)}."
    default = presets[name]
    return tyro.cli(type(default), default=default, args=rest, description=description)


def _read_parallel(word: str) -> int | None:
    """How many runs; None is auto.

    Raises:
      UserError: for anything else.
    """
    if word == "auto":
        return None
    try:
        return as_int("--parallel", int(word), low=1)
    except ValueError:
        raise UserError(f"--parallel {word}: give auto or a number, such as 256") from None


def _take_preset(words: list[str], name: str) -> tuple[str, list[str]]:
    for index, word in enumerate(words):
        if word == "--preset":
            return (words[index + 1] if index + 1 < len(words) else ""), (
                words[:index] + words[index + 2 :]
            )
        if word.startswith("--preset="):
            return word.removeprefix("--preset="), words[:index] + words[index + 1 :]
    return name, words


def _fields(part: Any) -> list[dataclasses.Field]:
    """Those that the user gives."""
    return [field for field in dataclasses.fields(part) if not field.metadata.get("derived")]


def _axis(field: dataclasses.Field, default: Any) -> tuple[str, Any, Any]:
    """A field that takes one value as one that takes several."""
    if field.metadata.get("words"):
        return _words_axis(field, default)
    kind = type(default)
    flag = flag_of(field.name)
    metavar = {float: "FLOAT", int: "INT", bool: "{True,False}", tuple: "INTxINT"}.get(kind, "NAME")
    one = PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=partial(_read, kind, flag),
        is_instance=lambda value: isinstance(value, kind),
        str_from_instance=lambda value: [_write(value)],
    )
    described = tyro.conf.arg(help=field.metadata.get("help", ""))
    several = Annotated[tuple[Annotated[kind, one], ...], described]
    return field.name, several, dataclasses.field(default=(default,))


def _words_axis(field: dataclasses.Field, default: Any) -> tuple[str, Any, Any]:
    """A field of several words: the flag takes all of them, as one value."""
    flag = "--" + field.name.replace("_", "-")

    def read(words: Sequence[str]) -> tuple[tuple[str, ...], ...]:
        if not words:
            raise UserError(f"{flag}: give at least one; '' is the empty one")
        return (tuple(words),)

    all_words = PrimitiveConstructorSpec(
        nargs="*",
        metavar=f"{field.metadata['words']}...",
        instance_from_str=read,
        is_instance=lambda value: isinstance(value, tuple),
        str_from_instance=lambda value: list(value[0]),
    )
    described = tyro.conf.arg(help=field.metadata.get("help", ""))
    return field.name, Annotated[tuple, all_words, described], dataclasses.field(default=(default,))


def _flag(field: dataclasses.Field, unit: str) -> tuple[str, Any, Any]:
    """A flag that is no axis, with its help in the unit that it counts."""
    annotated: Any = field.type
    (described,) = annotated.__metadata__
    kind, text = annotated.__origin__, (described.help or "").replace("{unit}", unit)
    parts = [dataclasses.replace(described, help=text)]
    if kind in (int, float, int | None):
        parts.append(_number(field.name, kind, described.metavar))
    return field.name, Annotated[kind, *parts], dataclasses.field(default=field.default)


def _number(name: str, kind: Any, metavar: str | None) -> PrimitiveConstructorSpec:
    """How a flag of one number is read; None, where it may be that, is a word."""
    number, may_be_none = (float if kind is float else int), kind == int | None

    def read(words: Sequence[str]) -> Any:
        return None if may_be_none and list(words) == ["None"] else _read(number, flag, words)

    flag = flag_of(name)
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar or ("INT" if number is int else "FLOAT"),
        instance_from_str=read,
        is_instance=lambda value: value is None or isinstance(value, number),
        str_from_instance=lambda value: [str(value)],
    )


def _read(kind: type, flag: str, words: Sequence[str]) -> Any:
    """One value of an axis.

    Raises:
      UserError: not a ValueError, which tyro would turn into a box of several lines.
    """
    (word,) = words
    readers = {
        float: (float, "a number, such as 0.001"),
        int: (int, "a whole number"),
        bool: ({"True": True, "False": False}.__getitem__, "True or False"),
        tuple: (_read_widths, "widths, such as 128 or 64x32 (none: linear)"),
        str: (str, "a word"),
    }
    read, meant = readers[kind]
    try:
        return read(word)
    except (ValueError, KeyError):
        shown = word if len(word) <= 40 else word[:40] + "..."
        raise UserError(f"{flag} {shown}: not {meant}") from None


def _read_widths(word: str) -> tuple[int, ...]:
    return () if word == "none" else tuple(int(width) for width in word.split("x"))


def _write(value: Any) -> str:
    return "none" if value == () else str(cell(value))
