"""Starts a tool that looks at run folders, such as `scripts/evaluate`."""

from collections.abc import Callable, Sequence
from typing import Any

from research.cli import machine
from research.errors import plain_exit
from research.parsing import read_arguments, tell_without_effect


def run_tool(
    main: Callable[[Any], Any],
    arguments_type: Any,
    description: str,
    argv: Sequence[str] | None,
    prog: str,
) -> None:
    """Parses the command line of a tool, sets JAX up and calls `main` with its arguments.

    Args:
      main: takes the arguments.
      arguments_type: their dataclass.
      description: the text of `--help`; the module's docstring, which calls it `scripts/NAME`.
      argv: the words after the tool's name; those of this process if None.
      prog: what the tool is called here: `scripts/NAME`, or `seedbed NAME`.
    """
    with plain_exit():
        arguments = read_arguments(arguments_type, description, argv, prog)
        machine.configure_jax()
        main(arguments)
        tell_without_effect(arguments)
