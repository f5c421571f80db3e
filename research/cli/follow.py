"""Reads `--follow RUN[:N]`: the schedule of hyper-parameters that led to a run."""

from pathlib import Path
from typing import TYPE_CHECKING

from research.errors import UserError
from research.flags import check_path
from research.limits import plain
from research.plain_text import one_line
from research.recorded import read_manifest
from research.runs.lineage import lineage
from research.runs.schedulers.follow import Changes

if TYPE_CHECKING:  # what reads reports takes a while to import
    from research.report.read import RunFolderData

FLAG = "--follow"


def read_follow(asked: str | None, resumed: Path | None = None) -> Changes:
    """Returns the schedule that led to the state of a run: its first entry, of step 0, is what
    training begins with.

    Args:
      asked: RUN, whose best run it is, or RUN:N.
      resumed: a run folder that is resumed, which has the schedule; so the other is not needed.

    Raises:
      UserError: if there is no such run folder, or no such run.
    """
    check_path(FLAG, asked)
    if asked is None:
        return ()
    if resumed is not None:
        recorded = read_manifest(resumed).get("schedule") or []
        return tuple((int(step), values) for step, values in recorded)
    from research.report.one_run import one_run
    from research.report.read import read_run_folder

    name, _, number = asked.rpartition(":")
    is_numbered = bool(name) and number.isdecimal() and not Path(asked).exists()
    try:
        data = read_run_folder(name if is_numbered else asked)
        run = one_run(data, int(number) if is_numbered else None).number
    except UserError as error:
        raise UserError(f"{FLAG} {one_line(asked)}: {error}".replace("--run ", "run ")) from None
    return schedule_of(data, run)


def schedule_of(data: "RunFolderData", run: int) -> Changes:
    """The schedule that led to the last state of a run, of the hyper-parameters that were
    searched."""
    rows, names = data.all_rows, list(data.manifest["hparams_axes"])
    first = rows.drop_duplicates("run").set_index("run")
    values = lambda row: {name: plain(row[name]) for name in names}
    if data.decisions is None:
        return ((0, values(first.loc[run])),)
    stop = int(rows[rows["run"] == run]["step"].max())
    history = lineage(data.decisions, run, stop, names)
    return tuple(
        (one.start, values(first.loc[one.run] if one.hparams is None else one.hparams))
        for one in history
    )
