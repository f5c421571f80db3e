"""Tracks a run folder in a thread beside the training."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from research.errors import describe_os_error
from research.report.follower import Follower
from research.report.trackers import Tracker
from research.runs.locks import Taken, locked

SECONDS = 3.0  # between updates


@contextlib.contextmanager
def tracking(
    folder: Path, kinds: Sequence[type[Tracker]], warn: Callable[[str], None]
) -> Iterator[None]:
    """Writes new results of a run folder to trackers while open, and once more at the end.

    If several processes train one folder, the one that holds the lock tracks; when it ends, another
    takes over.

    Args:
      folder: the run folder.
      kinds: the classes of the trackers.
      warn: is called with one line if tracking fails; tracking then ends, training continues.
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
                return  # the process with the lock looks at the folder once more when it ends
            if follower is not None and not follower.has_news():
                return
            ended.wait(SECONDS)
    except Exception as error:  # whatever it is: a tracker must not end a training
        text = describe_os_error(error) if isinstance(error, OSError) else str(error)
        reason = " ".join(text.split())[:200] or type(error).__name__
        warn(f"tracking has ended, training continues: {reason}")


def _follow(
    folder: Path, kinds: Sequence[type[Tracker]], ended: threading.Event
) -> Follower | None:
    """Tracks until the training has ended; None if another process holds the lock."""
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
