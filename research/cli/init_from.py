"""Reads `--init-from RUN[:N|best]`: which runs of another folder give the first params."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from research.errors import UserError, shortlist
from research.flags import check_path
from research.plain_text import one_line
from research.runs.initial import InitFrom

if TYPE_CHECKING:  # what reads reports takes a while to import
    from research.report.read import RunFolderData
    from research.report.settings import Setting

FLAG = "--init-from"


def read_init_from(asked: str | None, states: bool = False) -> InitFrom | None:
    """Returns where runs take their first params from: with `RUN:N` all from that run, with
    `RUN:best` all from the best run, and with `RUN` each from the run of its seed under the best
    setting. Nothing is read yet.

    Args:
      asked: RUN, RUN:N or RUN:best.
      states: whether they take whole states.
    """
    check_path(FLAG, asked)
    if asked is None:
        return None
    name, _, which = asked.rpartition(":")
    if not name or (not which.isdecimal() and which != "best") or Path(asked).exists():
        return InitFrom(asked, Path(asked), partial(_of_best_setting, asked, Path(asked)), states)
    number = int(which) if which.isdecimal() else None
    return InitFrom(asked, Path(name), partial(_of_one_run, Path(name), number), states)


def _of_one_run(folder: Path, number: int | None, seeds: Sequence[int]) -> list[int]:
    from research.report.one_run import one_run

    data = _read(folder)
    if number is None:
        _check_one_problem(data)
    try:
        run = one_run(data, number)
    except UserError as error:
        raise UserError(f"{FLAG}: {error}".replace("--run ", "run ")) from None
    return [run.number] * len(seeds)


def _of_best_setting(asked: str, folder: Path, seeds: Sequence[int]) -> list[int]:
    from research.report.read import diverged_runs

    data = _read(folder)
    _check_one_problem(data)
    best = _best_setting(data)
    rows = best.rows.drop_duplicates("run")
    runs = dict(zip(rows["seed"].tolist(), rows["run"].tolist(), strict=True))
    if missing := sorted(set(seeds) - runs.keys()):
        raise UserError(
            f"{FLAG} {one_line(asked)}: it has no seed {missing[0]}, only {shortlist(runs)}; give "
            "these --seeds, or a run with :N or :best"
        )
    if lost := sorted({runs[seed] for seed in seeds} & diverged_runs(data)):
        raise UserError(f"{FLAG} {one_line(asked)}: its run {lost[0]} has diverged")
    return [int(runs[seed]) for seed in seeds]


def _check_one_problem(data: "RunFolderData") -> None:
    """Raises a `UserError` for a folder with settings of several problems, such as environments:
    none of them is the best of all."""
    from research.report.one_run import best_runs
    from research.report.problems import by_problem

    if len(parts := by_problem(data)) > 1:
        best = best_runs(data)
        raise UserError(
            f"{FLAG} {data.path}: its settings are of {len(parts)} problems, which are not "
            f"compared: name a run, such as {data.path}:{best[0].number}; the best run of each is "
            f"{shortlist(run.number for run in best)}"
        )


def _read(folder: Path) -> "RunFolderData":
    from research.report.read import read_run_folder

    try:
        return read_run_folder(folder)
    except UserError as error:
        raise UserError(f"{FLAG}: {error}") from None


def _best_setting(data: "RunFolderData") -> "Setting":
    """The setting that reports list first.

    Raises:
      UserError: if none has been evaluated.
    """
    from research.report.problems import ranked_settings
    from research.report.settings import settings

    if not (ranked := ranked_settings(data, settings(data))):
        raise UserError(f"{FLAG} {data.path}: no finite run was evaluated yet")
    return ranked[0]
