"""The process that touches the device: `python -m research.benchmark.gpu_check.worker NAME JSON`.

It calls `work` of the module of that name with the arguments, and prints each result as a line.
"""

import importlib
import json
import os
import sys
from collections.abc import Sequence

from research.benchmark.gpu_check.processes import MARK
from research.cli.machine import configure_jax
from research.console import print_text
from research.errors import plain_exit


def main(words: Sequence[str]) -> None:
    """Prints what `work` of a module yields, until it ends or the process that wants it is gone."""
    name, arguments = words
    wanted_by = os.getppid()
    configure_jax()
    module = importlib.import_module(f"research.benchmark.gpu_check.{name}")
    for found in module.work(**json.loads(arguments)):
        print_text(MARK + json.dumps(found))
        if os.getppid() != wanted_by:
            return


if __name__ == "__main__":
    with plain_exit():
        main(sys.argv[1:])
