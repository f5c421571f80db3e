"""The code of the user's own that an experiment is made of, as its run folder names it.

An experiment whose `make_problem` is no part of this package is used later, to watch its agents or
to sample from its models, by the same function and the same config and hparams classes. The folder
names the file and them; that the code may be run is for the user to say (`research.cli.own_code`).
"""

import hashlib
from pathlib import Path
from typing import Any

from research.runs.experiment import Experiment

RESEARCH = Path(__file__).parents[1]


def describe_code(experiment: Experiment) -> dict[str, Any] | None:
    """The file of `make_problem`, and the names of it and of the classes of config and hparams
    that are in the same file; None if it is part of this package, or cannot be found by its name.
    JSON types."""
    make = experiment.make_problem
    code, name = getattr(make, "__code__", None), getattr(make, "__qualname__", "")
    if code is None or not name.isidentifier():  # a partial, a lambda, or one inside a function
        return None
    file = Path(code.co_filename).resolve()
    if file.suffix != ".py" or not file.is_file() or file.is_relative_to(RESEARCH):
        return None
    return {
        "file": str(file),
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "make_problem": name,
        "config": _class_name(experiment.config, make.__module__),
        "hparams": _class_name(experiment.hparams, make.__module__),
    }


def _class_name(value: Any, module: str) -> str | None:
    """The name of the class of a value; None if it is of another module."""
    kind = type(value)
    return kind.__name__ if kind.__module__ == module else None
