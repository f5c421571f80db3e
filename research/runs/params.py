"""The params of a run folder, read back: of its runs at the end, or at their best evaluation."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from research.errors import UserError
from research.folders import files_in
from research.recorded import RecordedParams
from research.runs.tensors import check_like, load_facts, load_tensors, nested


def load_params(
    folder: str | os.PathLike[str], run: int, template: Any = None, which: str = "last"
) -> Any:
    """Returns the params of a run, as nested dicts of arrays.

    Args:
      folder: of the sweep.
      run: its number.
      template: params of the same names, shapes and dtypes, or these as `jax.ShapeDtypeStruct`, if
        they are known.
      which: the last ones, or those of its best evaluation.

    Raises:
      UserError: if there are none, as before its job has ended or without `--keep best`, or they
        are damaged or of another config.
    """
    return jax.tree.map(lambda leaf: leaf[0], load_all_params(folder, [run], template, which))


def load_all_params(
    folder: str | os.PathLike[str],
    runs: Sequence[int],
    template: Any = None,
    which: str = "last",
) -> Any:
    """Returns the params of several runs of one config, every leaf [runs, ...]; else as
    `load_params`."""
    last: dict[int, tuple[int, Path, int]] = {}
    files_of = Path(folder) / ("best" if which == "best" else "params")
    if which == "best" and not files_of.is_dir():
        raise UserError(
            f"{folder} keeps only the last params of its runs: --keep best keeps those of the best "
            "evaluation, too"
        )
    for path in files_in(files_of, "*.safetensors"):
        facts = load_facts(path, RecordedParams)
        for place, run in enumerate(facts["runs"]):
            last[run] = max(last.get(run, (-1, path, 0)), (facts["step"], path, place))
    if missing := [run for run in runs if run not in last]:
        raise UserError(
            f"{folder} has no params of run {missing[0]}: they are written when it has ended"
        )
    files = {path: _load_rows(path, template) for path in {last[run][1] for run in runs}}
    rows = [(files[path], place) for _, path, place in (last[run] for run in runs)]
    trees = [jax.tree.map(lambda leaf: leaf[place], tree) for tree, place in rows]  # noqa: B023
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


def _load_rows(path: Path, template: Any) -> Any:
    """Returns the params of all runs in a file, after comparing them with those of one run."""
    rows, tensors = len(load_facts(path, RecordedParams)["runs"]), load_tensors(path)
    for name, leaf in tensors.items():
        if not leaf.ndim or len(leaf) != rows:
            raise UserError(f"{path} is damaged: {name} is {list(leaf.shape)} of {rows} runs")
    if template is not None:
        found = {name: (str(leaf.dtype), leaf.shape[1:]) for name, leaf in tensors.items()}
        check_like(found, template, path)
    return nested(tensors)
