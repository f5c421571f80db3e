"""What a sweep confirmed: the score of its best on seeds that did not choose it."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from research.plain_text import count_of, in_digits
from research.recorded import RecordedConfirmations, read_json

FILE = "confirmed.json"


class Confirmed(NamedTuple):
    """What was trained anew, and its score.

    Attributes:
      folder: with the runs, in that of the sweep.
      problem: what it was trained on, where there are several.
      run: the number of the best run, whose setting or schedule it was.
      seeds: that did not choose it.
      metric: that is given.
      score: interquartile mean over the seeds, and the ends of its 95% interval; None where no
        run is finite.
      chosen_by: the score of the best run where it was chosen.
    """

    folder: str
    problem: str
    run: int
    seeds: Sequence[int]
    metric: str
    score: Sequence[float] | None
    chosen_by: float


def read_confirmed(path: Path) -> list[Confirmed]:
    """Reads what a run folder has confirmed, one for each problem; nothing where it has not.

    Raises:
      UserError: if the file is damaged.
    """
    file = path / FILE
    if not file.is_file():
        return []
    content = read_json(file, RecordedConfirmations)
    return [Confirmed(**one) for one in content["confirmed"]]


def in_words(found: Confirmed) -> str:
    """What was confirmed, in a sentence."""
    of = f" of {found.problem}" if found.problem else ""
    seeds = count_of(len(found.seeds), "seed")
    if found.score is None:
        return f"confirmed{of}: no run of {seeds} is finite"
    iqm, low, high = map(in_digits, found.score)
    return (
        f"confirmed{of}: {found.metric} {iqm} [{low}, {high}] on {seeds} that did "
        f"not choose it; {in_digits(found.chosen_by)} where it was chosen"
    )
