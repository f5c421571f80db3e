"""Command lines with bad values for every flag, made of the flags themselves, and what becomes of
them. Nothing is listed by hand: a new flag is tried as soon as there is one."""

import argparse
import contextlib
import dataclasses
import functools
import re
import shutil
import signal
import time
import types
import typing
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import tyro

from research.limits import flag_of
from research.plain_text import visible

MOST_SECONDS = 10.0  # of computing, whatever else the machine does meanwhile
WAITS = 120.0  # seconds after which a command line is thought to wait for something
NUMBERS = {
    "nan": "nan", "infinite": "inf", "negative": "-1", "0": "0", "10^12": str(10**12),
    "10^22": str(10**22), "1e39": "1e39", "-1e39": "-1e39", "1e-50": "1e-50",
}  # fmt: skip
TEXTS = {
    "wrong type": "few", "empty": "", "unicode": "na\u00efve-\u65e5\u672c", "no UTF-8": "a\udcff",
    "escape": "a\x1b]0;x\x07b", "new line": "a\nb\tc", "right to left": "a\u202eb",
    "long": "x" * 5000,
}  # fmt: skip
VALUES = NUMBERS | TEXTS
# The kinds of cases, see `cases`, that most often find a fault.
OFTEN = {"no value", "twice", "value twice", "wrong type", "negative", "10^12", "10^22", "1e39",
         "new line"}  # fmt: skip


class Accepted(BaseException):
    """Everything was checked, and training, serving or computing would begin."""


class Flag(NamedTuple):
    """A flag, or what is given without one.

    Attributes:
      name: `--so-and-so`; empty if it is given by its place.
      valid: a value that it takes; None of a switch, which takes none.
      sweeps: whether it takes several values to train with, each once.
    """

    name: str
    valid: str | None
    sweeps: bool = False


class Case(NamedTuple):
    """A command line with something wrong in it, or not.

    Attributes:
      kind: what is tried.
      flag: with which flag.
      words: the command line.
      value: that the error is to name; None: the flag is enough.
    """

    kind: str
    flag: Flag
    words: list[str]
    value: str | None = None


def flags_of_dataclass(kind: Any, defaults: Any = None) -> Iterator[Flag]:
    """Yields the flags of a dataclass of arguments."""
    for field in dataclasses.fields(kind):
        default = field.default if defaults is None else getattr(defaults, field.name)
        origin, name = _plain(field.type), flag_of(field.name)
        if tyro.conf.Positional in getattr(field.type, "__metadata__", ()):
            name = ""
        axis = field.metadata.get("axis", False)
        if origin is bool:
            yield Flag(name, None)
        else:
            yield Flag(name, _word(default, origin), axis and not field.metadata.get("words"))


def flags_of_parser(parser: argparse.ArgumentParser) -> Iterator[Flag]:
    """Yields the flags of a parser of the standard library, but for `--help`."""
    for action in parser._actions:
        name = action.option_strings[-1] if action.option_strings else ""
        if action.nargs == 0:
            yield from [] if name == "--help" else [Flag(name, None)]
        else:
            default = action.default
            default = default[0] if isinstance(default, list | tuple) and default else default
            yield Flag(name, str(default) if default else "1")


def _plain(annotated: Any) -> Any:
    kind = annotated.__origin__ if hasattr(annotated, "__metadata__") else annotated
    return typing.get_origin(kind) or kind


def _word(default: Any, kind: Any) -> str:
    """A value as the user types it."""
    while isinstance(default, tuple) and default and not isinstance(default[0], int):
        default = default[0]
    if isinstance(default, tuple):
        return "x".join(map(str, default)) or "none"
    if default in (None, dataclasses.MISSING):
        return "1"
    return str(default)


def cases(flag: Flag, base: Sequence[Sequence[str]]) -> Iterator[Case]:
    """Yields the cases of one flag.

    Args:
      flag: the flag.
      base: a command line that is right, a list for each flag and for each place.
    """
    others = [word for words in base if words[0] != flag.name for word in words]
    if not flag.name:
        others = [word for words in base if words[0].startswith("--") for word in words]
        for kind, value in VALUES.items():
            named = None if value.startswith("-") else value  # that may be a flag, and is missing
            yield Case(kind, flag, [*others, value], named)
        return
    if flag.valid is None:
        yield Case("given", flag, [*others, flag.name])
        yield Case("twice", flag, [*others, flag.name, flag.name])
        yield Case("both", flag, [*others, flag.name, "--no-" + flag.name[2:]])
        for kind, value in VALUES.items():
            yield Case(kind, flag, [*others, flag.name, value], value)
        return
    yield Case("no value", flag, [*others, flag.name])
    given = next((list(words) for words in base if words[0] == flag.name), [flag.name, flag.valid])
    yield Case("twice", flag, [*others, *given, *given])
    yield Case("twice", flag, [*others, *given, flag.name + "=" + given[1]])
    if flag.sweeps:
        yield Case("value twice", flag, [*others, flag.name, given[1], given[1]], given[1])
    for kind, value in VALUES.items():
        words = [flag.name, value] if not value.startswith("-") else [f"{flag.name}={value}"]
        yield Case(kind, flag, [*others, *words], value)


class Outcome(NamedTuple):
    """How a command line ended.

    Attributes:
      accepted: whether it got past all checks.
      fault: what is wrong with how it ended; empty if nothing is.
    """

    accepted: bool
    fault: str = ""


def try_case(case: Case, run: Any, capture: Any, folder: Any) -> Outcome:
    """Runs a command line and returns how it ended.

    Args:
      case: the command line.
      run: words -> nothing; raises `Accepted` where work would begin.
      capture: pytest's `capsys`.
      folder: where nothing may be left behind if it is refused; what an accepted one makes is
        removed.
    """
    before, began = set(folder.rglob("*")), time.process_time()
    try:
        with _alarm():
            run(case.words)
        outcome = Outcome(accepted=True)
    except Accepted:
        outcome = Outcome(accepted=True)
    except SystemExit as left:
        outcome = Outcome(False, _fault_of(case, left.code, *capture.readouterr()))
    except BaseException as error:
        outcome = Outcome(False, f"{type(error).__name__}: {str(error)[:300]}")
    capture.readouterr()
    made = set(folder.rglob("*")) - before
    for path in sorted(made, reverse=True):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    if made and not outcome.accepted and not outcome.fault:
        outcome = outcome._replace(fault=f"left {sorted(made)[:3]}")
    if (seconds := time.process_time() - began) > MOST_SECONDS:
        outcome = outcome._replace(fault=f"took {seconds:.0f} s")
    return outcome


def _fault_of(case: Case, status: Any, out: str, err: str) -> str:
    """What is wrong with a refusal; empty if nothing is."""
    if status != 2:
        return f"status {status}: {err[-300:]}"
    line = err.removesuffix("\n")
    if not line.startswith("error: ") or "\n" in line:
        return f"not one line: {err[:300]!r}"
    if visible(line) != line:
        return f"control characters: {line!r}"
    if case.flag.name and case.flag.name not in line:
        return f"names no {case.flag.name}: {line[:300]}"
    if (
        case.value
        and case.flag.valid is not None
        and not any(form in line for form in _forms(case.value))
    ):
        return f"names no {case.value[:40]!r}: {line[:300]}"
    return ""


def _forms(value: str) -> Iterator[str]:
    """How an error may write a value."""
    shown = " ".join(visible(value).split())
    yield from (shown, repr(value)[1:-1], visible(value.encode("unicode_escape").decode())[:40])
    yield from (shown[:20], re.sub(r"\n", r"\\n", value).replace("\t", r"\t"))
    with contextlib.suppress(ValueError):
        number = float(value)
        yield from (str(number), f"{number:g}", f"{number:.0f}", f"{number:,.0f}")
        yield f"1e{len(value) - 1} or so"


@contextlib.contextmanager
def _alarm() -> Iterator[None]:
    """Raises a TimeoutError in a command line that does not end."""

    def ring(signum: int, frame: types.FrameType | None) -> None:
        raise TimeoutError(f"did not end in {WAITS:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, WAITS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Count:
    """How many command lines were tried, and how they ended."""

    def __init__(self) -> None:
        self.tried = self.accepted = 0
        self.faults: list[str] = []

    def add(self, case: Case, outcome: Outcome) -> None:
        """Counts one, and keeps its fault."""
        self.tried += 1
        self.accepted += outcome.accepted
        if outcome.fault:
            self.faults.append(f"{case.kind}, {' '.join(case.words)[-120:]!r}: {outcome.fault}")

    def tell(self, what: str, capture: Any) -> None:
        """Prints the numbers, past pytest's `capsys`."""
        refused = self.tried - self.accepted - len(self.faults)
        with capture.disabled():
            print(
                f"\n{what}: {self.tried} command lines, {refused} refused, {self.accepted} "
                f"accepted, {len(self.faults)} faults"
            )


def parse_faster(monkeypatch: Any) -> None:
    """Has a parser that was made once be used again: making one takes a tenth of a second, for a
    thousand command lines."""
    from tyro._parsers import ParserSpecification

    from research import parsing
    from research.cli import command_line

    whole, made = ParserSpecification.from_callable_or_type, {}

    def from_callable_or_type(f: Any, *args: Any, **options: Any) -> Any:
        if options.get("intern_prefix"):
            return whole(f, *args, **options)
        if f not in made:
            made[f] = whole(f, *args, **options)
        return made[f]

    monkeypatch.setattr(ParserSpecification, "from_callable_or_type", from_callable_or_type)
    in_groups, with_numbers = command_line._in_groups, functools.cache(parsing._with_numbers)
    grouped = {}

    def once(arguments: Any, preset: str, presets: tuple[str, ...]) -> Any:
        key = type(arguments), preset
        if key not in grouped:
            grouped[key] = in_groups(arguments, preset, presets)
        return grouped[key]

    monkeypatch.setattr(command_line, "_in_groups", once)
    monkeypatch.setattr(parsing, "_with_numbers", with_numbers)
