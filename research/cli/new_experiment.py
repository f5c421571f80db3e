"""Writes a new experiment to begin with: a task, its recipe, and tests that pass.

    scripts/new-experiment maze
    scripts/run experiments/maze.py
    scripts/test tests/experiments/test_maze.py

It trains small networks on y = sin(x) until its functions are replaced. It sweeps, resumes and
reports as every other experiment does, and its tests hold whatever task is put in.
"""

import dataclasses
import keyword
import re
from pathlib import Path
from typing import Annotated

import tyro

from research.atomic import write_bytes
from research.console import print_line
from research.errors import UserError, plain_exit
from research.flags import check_writable
from research.parsing import read_arguments

ROOT = Path(__file__).parents[2]
TEMPLATES = Path(__file__).parent / "templates"
EXAMPLE = "sine"


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Writes a new experiment to begin with: a task, its recipe, and tests that pass."""

    name: Annotated[
        str,
        tyro.conf.Positional,
        tyro.conf.arg(metavar="NAME", help="of the experiment: lower-case letters, digits and _"),
    ]


def main(arguments: Arguments, root: Path = ROOT) -> list[Path]:
    """Writes the two files and returns their paths.

    Args:
      arguments: the name.
      root: of the repository.

    Raises:
      UserError: if the name is none, a file is there already, or this is no clone.
    """
    name = arguments.name
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,40}", name) or keyword.iskeyword(name):
        raise UserError(
            f"{name}: a name is lower-case letters, digits and underscores, as in maze_walk"
        )
    written = {
        root / "experiments" / f"{name}.py": TEMPLATES / f"{EXAMPLE}.py",
        root / "tests" / "experiments" / f"test_{name}.py": TEMPLATES / f"{EXAMPLE}_test.py",
    }
    for path in written:
        if not path.parent.is_dir():
            raise UserError(f"{root} is no clone of the repository: it has no {path.parent.name}/")
        if path.exists():
            raise UserError(f"{path} is there already: give another name")
        check_writable(path)
    for path, template in written.items():
        text = re.sub(rf"\b{EXAMPLE}(?=\b|_)", name, template.read_text("utf-8"))
        write_bytes(path, text.encode())
        print_line(f"written: {path}")
    print_line(f"scripts/run experiments/{name}.py trains it")
    return list(written)


def run(argv: list[str] | None = None, prog: str = "scripts/new-experiment") -> None:
    """Parses the command line and writes the files; bad input ends the process with one line."""
    with plain_exit():
        main(read_arguments(Arguments, __doc__ or "", argv, prog))


if __name__ == "__main__":
    run()
