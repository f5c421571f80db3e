"""Parses the command line of a recipe, on top of a preset or of the run folder that it resumes."""

import contextlib
import dataclasses
import io
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from research.cli import machine, own_code
from research.errors import UserError, plain_exit
from research.flags import check_path, check_words
from research.limits import flag_of
from research.parsing import DEFAULT_SHOWN, flags_of, parse
from research.plain_text import one_line, shortened
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
            named, folder = arguments, Path(arguments.resume)
            arguments = _resume(presets, description, words, folder)
            _check_code(arguments, named, folder)
        _remember_code(arguments)
        machine.configure_jax(arguments.deterministic, arguments.distributed)
        main(arguments)


def _check_code(arguments: Any, named: Any, folder: Path) -> None:
    """Checks that the user has named all code that is to be run: those who made the folder may not.

    Raises:
      UserError: if not.
    """
    for field, code_in in _fields_of_code(arguments):
        given = _places(code_in, getattr(named, field))
        for value in getattr(arguments, field):
            asked = [place for place in code_in(value) if place not in given]
            own_code.check_known(asked, folder, f"add {flag_of(field)} {value}")


def _remember_code(arguments: Any) -> None:
    for field, code_in in _fields_of_code(arguments):
        own_code.remember(_places(code_in, getattr(arguments, field)))


def _places(code_in: Callable[[str], list[str]], values: Sequence[str]) -> list[str]:
    """The files and modules that the values of a flag name."""
    return [place for value in values for place in code_in(value)]


def _fields_of_code(arguments: Any) -> list[tuple[str, Callable[[str], list[str]]]]:
    """The names of the flags that may name code of the user, and what finds it in a value."""
    found = [(one.name, one.metadata.get("code_in")) for one in dataclasses.fields(arguments)]
    return [(name, code_in) for name, code_in in found if code_in]


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
        shown = Annotated[field.type, DEFAULT_SHOWN]
        groups.setdefault(field.metadata["group"], []).append((field.name, shown, value))
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
    folder = run_folder.path
    command, given = _recorded_words(run_folder.manifest(), folder / "manifest.json")
    script, made_by = Path(sys.argv[0]).name, Path(command).name
    if script != made_by:
        raise UserError(f"--resume {folder}: it was made by {made_by}, not by {script}")
    for flag in ("--name", "--out"):
        if _names(words, flag):
            raise UserError(f"--resume {folder} {flag}: it stays where it is; leave {flag} out")
    # Whatever made the folder, one process resumes it unless said otherwise.
    alone = ["--no-prepare", "--distributed", "None"]
    merged = [*given, *alone, *words]
    if _names(words, "--preset"):
        raise UserError(f"--resume {folder}: it has the preset that it was made with")
    said = io.StringIO()  # what the words of the folder have the parser say is of no use here
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            arguments = parse_arguments(presets, description, merged)
    except (SystemExit, UserError):  # the words of the user have been read before
        line = shortened(shlex.join(given), 200)
        raise UserError(f"{folder}: this version cannot read its arguments: {line}") from None
    return dataclasses.replace(arguments, out=str(folder.parent), name=folder.name)


def _recorded_words(recorded: Mapping[str, Any], path: Path) -> tuple[str, list[str]]:
    """The script that made a run folder, and its command-line arguments.

    Raises:
      UserError: if the manifest holds something else.
    """
    command, given = recorded.get("command"), recorded.get("arguments")
    if not isinstance(given, list) or not all(isinstance(word, str) for word in given):
        raise UserError(f"{path} is damaged: arguments: should be a list of words")
    if any(word.replace("_", "-").startswith("--tyro") for word in given):  # it writes a file
        raise UserError(f"{path} is damaged: arguments: a flag of the parser, not of a recipe")
    try:
        return shlex.split(command if isinstance(command, str) else "")[0], given
    except (ValueError, IndexError):
        raise UserError(f"{path} is damaged: command: should be that of a recipe") from None
