"""All run folders in a folder, one line each: what they hold, how far they are and how good."""

import html
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from research.errors import UserError
from research.folders import files_in
from research.plain_text import count_of, in_digits, one_line, visible
from research.report.population import is_population
from research.report.problems import by_problem, key_of
from research.report.read import RunFolderData, read_run_folder, swept, workload_of
from research.report.settings import final_score

PAGE = "index.html"


class Listed(NamedTuple):
    """A run folder in a listing.

    Attributes:
      path: of the folder.
      workload: such as dqn; "" if the folder cannot be read.
      settings: what was swept over how many seeds, in words.
      state: finished, or how far it is; what is wrong with a folder that cannot be read.
      finished: whether it is.
      score: the key metric of the best setting in words, with its interval.
      merit: the same as a number for sorting, the better the larger; minus infinity without one.
      started: when, in the time of this machine; None if it is not known.
    """

    path: Path
    workload: str
    settings: str
    state: str
    finished: bool
    score: str
    merit: float
    started: datetime | None


class ListedColumn(NamedTuple):
    """A column of a listing, and how to sort by it."""

    name: str
    cell: Callable[[Listed], str]
    key: Callable[[Listed], Any]


COLUMNS = (
    ListedColumn("name", lambda one: one.path.name, lambda one: one.path.name),
    ListedColumn("workload", lambda one: one.workload, lambda one: one.workload),
    ListedColumn("settings", lambda one: one.settings, lambda one: one.settings),
    ListedColumn("state", lambda one: one.state, lambda one: one.state),
    ListedColumn("score", lambda one: one.score, lambda one: (one.workload, one.merit)),
    ListedColumn("when", lambda one: _when(one), lambda one: one.started or datetime.min),
)


def find_run_folders(folder: Path) -> list[Path]:
    """Returns the run folders in a folder, or the folder if it is one.

    Raises:
      UserError: if there is none.
    """
    if (folder / "manifest.json").is_file():
        return [folder]
    if not folder.is_dir():
        raise UserError(f"no folder {folder}")
    found = [path for path in files_in(folder) if (path / "manifest.json").is_file()]
    if not found:
        raise UserError(f"{folder} holds no run folders")
    return found


def list_run_folder(path: Path) -> Listed:
    """Describes a run folder; one that cannot be read is listed with the reason."""
    try:
        run = read_run_folder(path)
        return _described(run)
    except UserError as error:
        reason = str(error).removeprefix(str(path)).strip(" :")
        return Listed(path, "", "", reason, False, "", float("-inf"), None)


def _described(run: RunFolderData) -> Listed:
    manifest = run.manifest
    score, merit = _best(run)
    status = str(manifest["status"])
    finished = status == "finished"
    began = manifest.get("started") or (manifest.get("sessions") or [{}])[0].get("started")
    return Listed(
        path=run.path,
        workload=workload_of(manifest),
        settings=_sweep_in_words(run),
        state=status if finished else f"{_progress(run):.0%}, not finished",
        finished=finished,
        score=score,
        merit=merit,
        started=_read_time(began),
    )


def _sweep_in_words(run: RunFolderData) -> str:
    runs = sum(group["runs"] for group in run.manifest["groups"])
    seeds = max(1, len(run.manifest["seeds"]))
    names = [one_line(name) for name in swept(run.manifest)]
    of = f" of {', '.join(names)}" if names else ""
    settings = count_of(max(1, runs // seeds), "setting")
    if is_population(run.manifest):
        settings, of = f"a population of {max(1, runs // seeds)}", ""
    return f"{settings}{of} x {count_of(seeds, 'seed')}"


def _progress(run: RunFolderData) -> float:
    """Which share of all steps has been trained."""
    steps = {}
    for group in run.manifest["groups"]:
        last = range(group["first_run"], group["first_run"] + group["runs"])
        steps |= dict.fromkeys(last, group.get("steps") or 0)
    reached = run.all_rows.groupby("run")["step"].max()
    reached = {**reached, **{one: steps.get(one, 0) for one in run.stopped}}
    return float(sum(reached.get(one, 0) for one in steps)) / max(1, sum(steps.values()))


def _best(run: RunFolderData) -> tuple[str, float]:
    """The score of the best setting, in words and as a number. Where settings are of several
    problems, none is the best of all."""
    manifest, parts = run.manifest, by_problem(run)
    if len(parts) > 1:
        return f"of {len(parts)} problems, each its own", float("-inf")
    metric, higher = str(manifest["key_metric"]), bool(manifest["higher_is_better"])
    best = min(next(iter(parts.values())), key=lambda one: key_of(run, one))
    if (found := final_score(best, metric)) is None:
        return "", float("-inf")
    middle, low, high = map(float, found.iqm)
    return (
        f"{one_line(metric)} {in_digits(middle)} [{in_digits(low)}, {in_digits(high)}]",
        middle if higher else -middle,
    )


def _read_time(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text)).astimezone().replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None


def _when(one: Listed) -> str:
    return f"{one.started:%Y-%m-%d %H:%M}" if one.started else ""


def sort_listed(listed: Sequence[Listed], by: str) -> list[Listed]:
    """Sorts by a column: by name, workload, settings and state from A to Z, otherwise the best and
    the latest first.

    Raises:
      UserError: if there is no such column.
    """
    keys: Mapping[str, Any] = {column.name: column.key for column in COLUMNS}
    if by not in keys:
        raise UserError(f"--sort {by}: there are {', '.join(keys)}")
    return sorted(listed, key=keys[by], reverse=by in ("score", "when"))


def make_index(listed: Sequence[Listed], folder: Path) -> str:
    """Returns an HTML page with a line for each run folder, and links to the reports that exist."""
    heads = "".join(f"<th>{column.name}</th>" for column in COLUMNS)
    rows = "".join(_row(one, folder) for one in listed)
    title = html.escape(visible(f"Run folders in {folder.resolve().name}"))
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><meta name="color-scheme" '
        f'content="light dark"><title>{title}</title><style>{_STYLE}</style><h1>{title}</h1>'
        f"<div><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div></html>\n"
    )


_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem}"
    "div{overflow-x:auto}table{border-collapse:collapse;width:100%}"
    "th,td{text-align:left;padding:.35rem .7rem;border-bottom:1px solid #8884}"
    "th{font-weight:600}"
)


def _row(one: Listed, folder: Path) -> str:
    cells = [html.escape(visible(column.cell(one))) for column in COLUMNS]
    report = one.path / "report.html"
    if report.is_file() and not report.is_symlink() and one.path != folder:
        place = html.escape(f"{one.path.name}/report.html", quote=True)
        cells[0] = f'<a href="{place}">{cells[0]}</a>'
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
