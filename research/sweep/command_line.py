"""A command line from a workload's dataclasses: every field of config and hparams takes a list."""

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any

import tyro
from tyro.constructors import PrimitiveConstructorSpec

from research.errors import UserError, plain_exit
from research.sweep import machine
from research.sweep.axes import parse_seeds
from research.sweep.experiment import Experiment, cell
from research.sweep.plan import Intervals
from research.task import HParams, Problem


@dataclasses.dataclass(frozen=True)
class SweepFlags:
    """What every experiment can be told, beside its config and hyper-parameters."""

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


def arguments_type(config: Any, hparams: Any, unit: str = "steps", more: type | None = None) -> Any:
    """A dataclass with a tuple for every field of both, then flags.

    Args:
      config, hparams: dataclass instances, whose values become the defaults. A field with
        `derived` in its metadata is no flag.
      unit: what intervals count. Unless it is steps, the config says how long a run trains, and
        there is no flag for it.
      more: a dataclass of flags beside those of `SweepFlags`.
    """
    axes = [_axis(field, getattr(part, field.name))
            for part in (config, hparams) for field in _fields(part)]  # fmt: skip
    others = [_flag(field, unit)
              for part in (SweepFlags, more) if part is not None
              for field in dataclasses.fields(part)
              if field.name != "steps" or unit == "steps"]  # fmt: skip
    return dataclasses.make_dataclass("Arguments", [*axes, *others], frozen=True)


def make_experiment(
    name: str,
    make_problem: Callable[[Any], Problem],
    config: Any,
    hparams: HParams,
    arguments: Any,
    in_work: bool = False,
) -> Experiment:
    """The experiment that `arguments`, of the type above, ask for.

    Args:
      in_work: whether intervals count the task's unit of work, such as env steps, not steps.

    Raises:
      UserError: for seeds that make no sense.
    """
    if arguments.lanes is not None and arguments.lanes < 1:
        raise UserError(f"--lanes {arguments.lanes}: must be at least 1")

    def split(part):
        given = {field.name: getattr(arguments, field.name) for field in _fields(part)}
        axes = {field: values for field, values in given.items() if len(values) != 1}
        single = {field: values[0] for field, values in given.items() if len(values) == 1}
        return axes, dataclasses.replace(part, **single)

    config_axes, config = split(config)
    hparams_axes, hparams = split(hparams)
    return Experiment(
        name=name,
        make_problem=make_problem,
        config=config,
        hparams=hparams,
        config_axes=config_axes,
        hparams_axes=hparams_axes,
        seeds=parse_seeds(arguments.seeds),
        steps=getattr(arguments, "steps", None),
        intervals=Intervals(arguments.log_every, arguments.eval_every, arguments.chunk_every),
        in_work=in_work,
        most_lanes=arguments.lanes,
    )


def run_main(
    main: Callable[[Any], Any],
    presets: Mapping[str, Any],
    description: str,
    argv: Sequence[str] | None = None,
) -> None:
    """Parses the command line into one of `presets`' types, sets JAX up and calls `main`.

    Args:
      main: takes the arguments.
      presets: name -> arguments, the first being the default. `--preset NAME` picks the values
        that flags not given have.
      description: the text of `--help`; the script's docstring.
      argv: the words after the script's name.
    """
    with plain_exit():
        arguments = parse_arguments(presets, description, sys.argv[1:] if argv is None else argv)
        machine.configure_jax()
        main(arguments)


def parse_arguments(presets: Mapping[str, Any], description: str, argv: Sequence[str]) -> Any:
    """The arguments that `argv` gives, on top of the preset that it names."""
    name, rest = _take_preset(list(argv), next(iter(presets)))
    if name not in presets:
        raise UserError(f"--preset {name}: there are {', '.join(presets)}")
    description += f"\n\n--preset NAME starts from other values: {', '.join(presets)}."
    default = presets[name]
    return tyro.cli(type(default), default=default, args=rest, description=description)


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
    """Those that a person gives."""
    return [field for field in dataclasses.fields(part) if not field.metadata.get("derived")]


def _axis(field: dataclasses.Field, default: Any) -> tuple[str, Any, Any]:
    """A field that takes one value as one that takes several."""
    kind = type(default)
    flag = "--" + field.name.replace("_", "-")
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


def _flag(field: dataclasses.Field, unit: str) -> tuple[str, Any, Any]:
    """A flag that is no axis, with its help in the unit that it counts."""
    kind: Any = field.type
    (described,) = kind.__metadata__
    text = (described.help or "").replace("{unit}", unit)
    plain = Annotated[kind.__origin__, dataclasses.replace(described, help=text)]
    return field.name, plain, dataclasses.field(default=field.default)


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
        raise UserError(f"{flag} {word}: not {meant}") from None


def _read_widths(word: str) -> tuple[int, ...]:
    return () if word == "none" else tuple(int(width) for width in word.split("x"))


def _write(value: Any) -> str:
    return "none" if value == () else str(cell(value))
