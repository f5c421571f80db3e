"""Parses the command line of a recipe, on top of a preset or of the run folder that it resumes."""

import dataclasses
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from research.cli import machine
from research.errors import UserError, plain_exit
from research.flags import check_path, check_words
from research.parsing import flags_of, parse
from research.plain_text import one_line
from research.runs.run_folder import RunFolder


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
        check_words(words, _flags(presets))
        arguments = parse_arguments(presets, description, words)
        check_path("--resume", arguments.resume)
        if arguments.resume is not None:
            arguments = _resume(presets, description, words, Path(arguments.resume))
        machine.configure_jax(arguments.deterministic, arguments.distributed)
        main(arguments)


def parse_arguments(presets: Mapping[str, Any], description: str, argv: Sequence[str]) -> Any:
    """Returns the arguments that `argv` gives, on top of the preset that it names.

    Raises:
      UserError: for a preset that there is not, or more than one.
    """
    name, rest = _take_preset(list(argv), next(iter(presets)))
    if name not in presets:
        raise UserError(f"--preset {one_line(name)}: there are {', '.join(presets)}")
    if _names(rest, "--preset"):
        raise UserError("--preset: give it once; the other flags change its values")
    grouped = _in_groups(presets[name], name, tuple(presets))
    config = (tyro.conf.OmitArgPrefixes,)  # a group is a heading, and no part of a flag
    options = {"default": grouped, "description": description, "config": config}
    given = parse(type(grouped), rest, _flags(presets), **options)
    values = {name: value for group in vars(given).values() for name, value in vars(group).items()}
    values.pop("preset")
    return type(presets[name])(**values)


def _flags(presets: Mapping[str, Any]) -> dict[str, bool]:
    """The flags of a recipe, and whether each takes a value."""
    return {"--preset": True, **flags_of(type(next(iter(presets.values()))))}


def _in_groups(arguments: Any, preset: str, presets: tuple[str, ...]) -> Any:
    """Returns the arguments as a dataclass of dataclasses, one for each group of flags: tyro shows
    a box with a heading for each. The first begins with `--preset`."""
    text = "start from the values of a preset; the other flags change them"
    choice = Annotated[Literal[presets], tyro.conf.arg(help=text)]  # pyright: ignore
    groups: dict[str, list[Any]] = {}
    for field in dataclasses.fields(arguments):
        value = dataclasses.field(default=getattr(arguments, field.name))
        groups.setdefault(field.metadata["group"], []).append((field.name, field.type, value))
    next(iter(groups.values())).insert(0, ("preset", choice, dataclasses.field(default=preset)))
    members = []
    for heading, fields in groups.items():
        group = dataclasses.make_dataclass("Group", fields, frozen=True)
        shown = Annotated[group, tyro.conf.arg(name=heading, help="")]
        members.append((heading.replace("-", "_"), shown, dataclasses.field(default=group())))
    return dataclasses.make_dataclass("Groups", members, frozen=True)()


def _take_preset(words: list[str], name: str) -> tuple[str, list[str]]:
    """Returns the preset that the words name, or else `name`, and the other words."""
    for index, word in enumerate(words):
        if word == "--preset":
            return (words[index + 1] if index + 1 < len(words) else ""), (
                words[:index] + words[index + 2 :]
            )
        if word.startswith("--preset="):
            return word.removeprefix("--preset="), words[:index] + words[index + 1 :]
    return name, words


def _names(words: Sequence[str], flag: str) -> bool:
    return any(word.partition("=")[0] == flag for word in words)


def _resume(
    presets: Mapping[str, Any], description: str, words: Sequence[str], folder: Path
) -> Any:
    """The arguments that a run folder was made by, and on top of them `words`.

    Only flags are taken from the folder; it cannot name what is run.
    """
    try:
        run_folder = RunFolder.open(folder)
    except UserError as error:
        raise UserError(f"--resume: {error}") from None
    folder, recorded = run_folder.path, run_folder.manifest()
    script, made_by = Path(sys.argv[0]).name, Path(shlex.split(recorded["command"])[0]).name
    if script != made_by:
        raise UserError(f"--resume {folder}: it was made by {made_by}, not by {script}")
    for flag in ("--name", "--out"):
        if _names(words, flag):
            raise UserError(f"--resume {folder} {flag}: it stays where it is; leave {flag} out")
    # Whatever made the folder, one process resumes it unless said otherwise.
    alone = ["--no-prepare", "--distributed", "None"]
    merged = [*recorded["arguments"], *alone, *words]
    if _names(words, "--preset"):
        raise UserError(f"--resume {folder}: it has the preset that it was made with")
    arguments = parse_arguments(presets, description, merged)
    return dataclasses.replace(arguments, out=str(folder.parent), name=folder.name)
