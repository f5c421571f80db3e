"""Follows a run folder beside the training, in a thread, until the training has ended."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from research.report.follower import Follower
from research.report.trackers import Tracker
from research.runs.locks import Taken, locked

SECONDS = 3.0  # between looks


@contextlib.contextmanager
def tracking(
    folder: Path, kinds: Sequence[type[Tracker]], warn: Callable[[str], None]
) -> Iterator[None]:
    """Writes what is new in a run folder to trackers while the context is open, and a last time
    when it is left, by an error too.

    Of several processes that train one folder, one tracks at a time: whoever has the lock. When it
    ends, another resumes.

    Args:
      folder: of the run.
      kinds: of the trackers.
      warn: takes one line if tracking fails, which then ends and leaves the training alone.
    """
    ended = threading.Event()
    work = threading.Thread(target=_track, args=(folder, kinds, warn, ended), name="tracking")
    work.start()
    try:
        yield
    finally:
        ended.set()
        work.join()


def _track(
    folder: Path,
    kinds: Sequence[type[Tracker]],
    warn: Callable[[str], None],
    ended: threading.Event,
) -> None:
    try:
        while True:
            last = ended.is_set()
            follower = _follow(folder, kinds, ended)
            if follower is None and last:
                return  # the process that has the lock reads the rest, at the latest below
            if follower is not None and not follower.has_news():
                return
            ended.wait(SECONDS)
    except Exception as error:  # whatever it is: a tracker must not end a training
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        warn(f"tracking has ended, training continues: {reason}")


def _follow(
    folder: Path, kinds: Sequence[type[Tracker]], ended: threading.Event
) -> Follower | None:
    """Follows until the training has ended; None if another process does."""
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(locked(folder / ".locks" / "tracking"))
        except Taken:
            return None
        trackers = [held.enter_context(contextlib.closing(kind(folder))) for kind in kinds]
        follower = Follower(folder, trackers)
        while not ended.wait(SECONDS):
            follower.update()
        follower.update()
        return follower
