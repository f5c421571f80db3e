"""How a run folder's problem is made again: by the workload, or by the user's own code that the
folder names."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from research.cli import own_code
from research.errors import UserError
from research.own_modules import describe_raised, import_file
from research.task import HParams, Problem


class ProblemMaker(NamedTuple):
    """What makes a problem of a recorded config.

    Attributes:
      config, hparams: with the fields that were recorded; their values are those of fields that
        were not.
      make_problem: config -> problem.
    """

    config: Any
    hparams: HParams
    make_problem: Callable[[Any], Problem]


def problem_maker(
    manifest: Mapping[str, Any], path: Path, usual: ProblemMaker | None
) -> ProblemMaker:
    """What made the problem of a run folder.

    Args:
      manifest: of the folder.
      path: of the folder.
      usual: the workload's; None where it has none for the folder.

    Raises:
      UserError: if the folder names code that is not there, fails, or that the user has not run on
        this machine before; or it names none and there is none of the workload.
    """
    if not (code := manifest.get("code")):
        if usual is None:
            raise UserError(f"{path} does not say which code made its problem")
        return usual
    own_code.check_known([code["file"]], path, f"run it once: scripts/run {code['file']}")
    module = _import(code["file"], path)
    find = lambda name: _find(module, name, code["file"], path)
    make = lambda name, default: default if name is None else _call(find(name), name, path)
    config = make(code["config"], usual and usual.config)
    hparams = make(code["hparams"], usual and usual.hparams)
    for part in (config, hparams):
        if not dataclasses.is_dataclass(part):
            raise UserError(f"{path}: {code['file']} does not say what config and hparams are")
    return ProblemMaker(config, hparams, find(code["make_problem"]))


def _import(file: str, folder: Path) -> Any:
    if not Path(file).is_file():
        raise UserError(f"{folder} was trained with the code in {file}, which is not there")
    try:
        return import_file(file)
    except SystemExit:
        raise UserError(
            f"{folder}: {file} ends when it is imported: put what it runs under if __name__ == "
            '"__main__"'
        ) from None
    except Exception as error:  # of the user's code
        raise UserError(f"{folder}: {file} failed: {describe_raised(error)}") from error


def _find(module: Any, name: str, file: str, folder: Path) -> Any:
    if not callable(found := getattr(module, name, None)):
        raise UserError(f"{folder} was trained with {name} of {file}, which has none now")
    return found


def _call(kind: Any, name: str, folder: Path) -> Any:
    try:
        return kind()
    except TypeError as error:
        raise UserError(f"{folder}: {name} needs a default for every field: {error}") from None
